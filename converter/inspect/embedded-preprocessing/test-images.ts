/** A test image's light per pixel and channel, as a share of the way from black to white. */
export type TestImage = (place: number, channel: number) => number;

/** Images whose answers show what a model does with its input. */
export interface TestImages {
  black: TestImage;
  gray: TestImage;
  white: TestImage;
  red: TestImage;
  green: TestImage;
  blue: TestImage;
  noise: TestImage;
  /** The same noise, of which a quarter is black. */
  darkened: TestImage;
  /** Noise with the contrast of a dull image, which an epsilon must not change. */
  faint: TestImage;
}

/** @param count the number of pixels */
export function testImages(count: number): TestImages {
  const noise: TestImage = (place, channel) =>
    ((place * 7919 + channel * 104_729 + ((place * place) % 8191)) % 251) / 250;
  const only =
    (channel: number): TestImage =>
    (_, at) =>
      at === channel ? 1 : 0;
  return {
    black: () => 0,
    gray: () => 0.5,
    white: () => 1,
    red: only(0),
    green: only(1),
    blue: only(2),
    noise,
    darkened: (place, channel) => (place < count / 4 ? 0 : noise(place, channel)),
    faint: (place, channel) => 0.3 + 0.35 * noise(place, channel),
  };
}
