/** A picture's light per pixel and channel, as a share of the way from black to white. */
export type Picture = (place: number, channel: number) => number;

/** Pictures whose answers show what a model does with its input. */
export interface Pictures {
  black: Picture;
  gray: Picture;
  white: Picture;
  red: Picture;
  green: Picture;
  blue: Picture;
  noise: Picture;
  /** The same noise, of which a quarter is black. */
  darkened: Picture;
  /** Noise with the contrast of a dull image, which an epsilon must not change. */
  faint: Picture;
}

/** @param count the number of pixels */
export function pictures(count: number): Pictures {
  const noise: Picture = (place, channel) =>
    ((place * 7919 + channel * 104_729 + ((place * place) % 8191)) % 251) / 250;
  const only =
    (channel: number): Picture =>
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
