// Makes the golden answers of a browser's canvas: `node images/resize/golden/make-canvas.mjs /usr/bin/chromium`.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const folder = import.meta.dirname;
const { cases: others } = JSON.parse(readFileSync(path.join(folder, 'pillow.json'), 'utf8'));
/** Chromium halves it to sides that are rounded, in floating point: the crops have such cases. */
const isRounded = ([width, height]) => width === 1111 && height === 777;
const sizes = others.filter(
  ({ resize, channels, from }) => resize === 'pillow-bilinear' && channels === 3 && !isRounded(from),
);

const browser = await chromium.launch({
  executablePath: process.argv[2] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage();
const cases = [];
/** Draws an image of the pixels with the arguments of `drawImage` behind the image. A canvas would be drawn in another way. */
function draw(from, to, place) {
  return page.evaluate(
    async ([[width, height], [toWidth, toHeight], placed]) => {
      const source = new OffscreenCanvas(width, height);
      const image = new ImageData(width, height);
      for (let y = 0, at = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at += 4) {
          const isNoise = (((x >> 4) + (y >> 4)) & 1) === 1;
          for (let c = 0; c < 3; c++) {
            const mixed = Math.imul(x, 73856093) ^ Math.imul(y, 19349663) ^ Math.imul(c, 83492791);
            image.data[at + c] = isNoise ? Math.imul(mixed, 2654435761) >>> 24 : (x * 2 + y * 3 + c * 50) & 255;
          }
          image.data[at + 3] = 255;
        }
      }
      source.getContext('2d').putImageData(image, 0, 0);
      const drawn = new Image();
      drawn.src = URL.createObjectURL(await source.convertToBlob());
      await drawn.decode();
      const canvas = document.createElement('canvas');
      canvas.width = toWidth;
      canvas.height = toHeight;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(drawn, ...placed);
      return [...context.getImageData(0, 0, toWidth, toHeight).data.filter((_, i) => i % 4 < 3)];
    },
    [from, to, place],
  );
}

const digest = (bytes) => createHash('sha256').update(Uint8Array.from(bytes)).digest('hex');

/** As make.py keeps answers in floating point. */
function sample(bytes) {
  const step = Math.floor(bytes.length / 120);
  const samples = Int16Array.from(
    bytes.filter((_, i) => i % step === 0),
    (value) => value * 64,
  );
  return { step, samples: Buffer.from(samples.buffer).toString('base64') };
}

for (const { from, to } of sizes) {
  cases.push({ resize: 'canvas', from, to, channels: 3, sha256: digest(await draw(from, to, [0, 0, ...to])) });
}

// As `cropTo` of Teachable Machine's library places the image.
const crops = [];
const { cases: keras } = JSON.parse(readFileSync(path.join(folder, 'keras-crops.json'), 'utf8'));
const LARGE = ['600 450', '700 525', '896 896', '901 1203', '1300 975', '447 447'];
const cropSizes = [...new Set([...keras.map(({ from }) => from.join(' ')), ...LARGE])].map((text) =>
  text.split(' ').map(Number),
);
for (const [width, height] of cropSizes) {
  const size = 224;
  const scale = size / Math.min(width, height);
  const scaled = [Math.ceil(width * scale), Math.ceil(height * scale)];
  const place = [...scaled.map((side) => ~~((side - size) / 2) * -1), ...scaled];
  const rule = { resize: 'canvas', width: size, height: size, channels: 3, shortSide: size };
  crops.push({ rule, from: [width, height], ...sample(await draw([width, height], [size, size], place)) });
}
const made = `Chromium ${browser.version()}`;
await browser.close();
for (const [name, list] of Object.entries({ canvas: cases, 'canvas-crops': crops })) {
  const text = list.map((one) => `    ${JSON.stringify(one)}`).join(',\n');
  writeFileSync(path.join(folder, `${name}.json`), `{\n  "made with": "${made}",\n  "cases": [\n${text}\n  ]\n}\n`);
}
