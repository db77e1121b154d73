import chelsea from '../models/samples/chelsea.png';
import coffee from '../models/samples/coffee.png';
import rocket from '../models/samples/rocket.jpg';

/** An image that comes with the page, for people who have none at hand. */
export interface Sample {
  name: string;
  url: string;
  /** What it shows, with an article. */
  what: string;
}

export const SAMPLES: readonly Sample[] = [
  { name: 'chelsea.png', url: chelsea, what: 'a cat' },
  { name: 'coffee.png', url: coffee, what: 'a cup of coffee' },
  { name: 'rocket.jpg', url: rocket, what: 'a rocket' },
];

/** @throws if the server does not send it, or a proxy's page came in its place */
export async function fetchSample({ name, url }: Sample): Promise<File> {
  const response = await fetch(url);
  const image = await response.blob();
  if (!response.ok || !image.type.startsWith('image/')) throw new Error(`${name} could not be loaded.`);
  return new File([image], name, { type: image.type });
}
