import sharp from 'sharp';

/** The smallest side of the picture: the browser's own smoothing of a 7x7 picture shows its squares. */
const MIN_SIDE = 224;

/**
 * Paints a map as a PNG in a data URI: blue to red, the colder the more transparent.
 * @param map values row by row in 0..1, width * height of them
 */
export async function renderHeatmap(map: { width: number; height: number; values: number[] }): Promise<string> {
  const { width, height, values } = map;
  const grey = Buffer.alloc(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = Math.round(clamp(values[i] ?? 0) * 255);
  const scale = Math.max(1, Math.ceil(MIN_SIDE / Math.min(width, height)));
  const smooth = await sharp(grey, { raw: { width, height, channels: 1 } })
    .resize(width * scale, height * scale, { kernel: 'cubic', fit: 'fill' })
    .extractChannel(0)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pixels = Buffer.alloc(smooth.data.length * 4);
  for (let i = 0; i < smooth.data.length; i++) {
    const heat = smooth.data[i]! / 255;
    pixels[i * 4] = Math.round(255 * clamp(1.5 - Math.abs(4 * heat - 3)));
    pixels[i * 4 + 1] = Math.round(255 * clamp(1.5 - Math.abs(4 * heat - 2)));
    pixels[i * 4 + 2] = Math.round(255 * clamp(1.5 - Math.abs(4 * heat - 1)));
    pixels[i * 4 + 3] = Math.round(180 * heat);
  }
  const png = await sharp(pixels, { raw: { width: smooth.info.width, height: smooth.info.height, channels: 4 } })
    .png({ palette: true })
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
