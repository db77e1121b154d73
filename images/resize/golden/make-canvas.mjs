// Makes the golden answers of a browser's canvas: `node images/resize/golden/make-canvas.mjs /usr/bin/chromium`.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const folder = import.meta.dirname;
const { cases: others } = JSON.parse(readFileSync(path.join(folder, 'pillow.json'), 'utf8'));
const sizes = others.filter(({ resize, channels }) => resize === 'pillow-bilinear' && channels === 3);

const browser = await chromium.launch({
  executablePath: process.argv[2] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage();
const cases = [];
for (const { from, to } of sizes) {
  const bytes = await page.evaluate(
    ([[width, height], [toWidth, toHeight]]) => {
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
      const canvas = document.createElement('canvas');
      canvas.width = toWidth;
      canvas.height = toHeight;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(source, 0, 0, toWidth, toHeight);
      return [...context.getImageData(0, 0, toWidth, toHeight).data.filter((_, i) => i % 4 < 3)];
    },
    [from, to],
  );
  const sha256 = createHash('sha256').update(Uint8Array.from(bytes)).digest('hex');
  cases.push({ resize: 'canvas', from, to, channels: 3, sha256 });
}
const made = `Chromium ${browser.version()}`;
await browser.close();
const text = cases.map((one) => `    ${JSON.stringify(one)}`).join(',\n');
writeFileSync(path.join(folder, 'canvas.json'), `{\n  "made with": "${made}",\n  "cases": [\n${text}\n  ]\n}\n`);
