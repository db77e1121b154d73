import { readdirSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { hasSrgbProfile } from './srgb-profile.ts';

const SHARED_IMAGES = '../shared/images';

/** A profile as scanners and cameras write it: header, primaries, and one curve for all three. */
function makeProfile({ red = [0.436, 0.2225, 0.0139], gamma }: { red?: number[]; gamma?: number } = {}): Buffer {
  const entries = 1024;
  const names = ['rXYZ', 'gXYZ', 'bXYZ', 'rTRC', 'gTRC', 'bTRC'];
  const profile = Buffer.alloc(132 + 12 * names.length + 3 * 20 + 12 + 2 * entries);
  profile.write('mntrRGB XYZ ', 12, 'latin1');
  profile.writeUInt32BE(names.length, 128);
  const firstAt = 132 + 12 * names.length;
  const curveAt = firstAt + 60;
  names.forEach((name, i) => {
    profile.write(name, 132 + 12 * i, 'latin1');
    profile.writeUInt32BE(i < 3 ? firstAt + 20 * i : curveAt, 132 + 12 * i + 4);
  });
  [red, [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]].forEach((primary, i) => {
    profile.write('XYZ ', firstAt + 20 * i, 'latin1');
    primary.forEach((value, axis) => {
      profile.writeInt32BE(Math.round(value * 65_536), firstAt + 20 * i + 8 + 4 * axis);
    });
  });
  profile.write('curv', curveAt, 'latin1');
  profile.writeUInt32BE(entries, curveAt + 8);
  for (let entry = 0; entry < entries; entry++) {
    const encoded = entry / (entries - 1);
    const srgb = encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
    const linear = gamma === undefined ? srgb : encoded ** gamma;
    profile.writeUInt16BE(Math.round(linear * 65_535), curveAt + 12 + 2 * entry);
  }
  return profile;
}

function withProfile(profile: Buffer): Buffer {
  const segment = Buffer.alloc(18 + profile.length);
  segment.writeUInt16BE(0xffe2, 0);
  segment.writeUInt16BE(16 + profile.length, 2);
  segment.write('ICC_PROFILE\0\x01\x01', 4, 'latin1');
  profile.copy(segment, 18);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), segment, Buffer.from([0xff, 0xda, 0, 2])]);
}

test('a profile with the primaries and the curve of sRGB is sRGB', () => {
  expect(hasSrgbProfile(withProfile(makeProfile()))).toBe(true);
});

test.each([
  ['other primaries', { red: [0.6097, 0.3111, 0.0195] }],
  ['a plain power curve', { gamma: 2.2 }],
])('a profile with %s is not', (_name, profile) => {
  expect(hasSrgbProfile(withProfile(makeProfile(profile)))).toBe(false);
});

test('a JPEG with a wide-gamut profile is not, nor one without a profile', async () => {
  const image = sharp({ create: { width: 8, height: 8, channels: 3, background: '#804020' } });
  expect(hasSrgbProfile(await image.clone().withIccProfile('p3').jpeg().toBuffer())).toBe(false);
  expect(hasSrgbProfile(await image.clone().jpeg().toBuffer())).toBe(false);
});

test('damage anywhere in it gives an answer and no exception', () => {
  const file = withProfile(makeProfile());
  for (let at = 0; at < file.length; at += 7) {
    hasSrgbProfile(file.subarray(0, at));
    const damaged = Buffer.from(file);
    damaged[at] = damaged[at]! ^ 0xff;
    expect(typeof hasSrgbProfile(damaged)).toBe('boolean');
  }
});

function listPhotographs(): string[] {
  try {
    return readdirSync(SHARED_IMAGES).filter((name) => /\.jpe?g$/i.test(name));
  } catch {
    return [];
  }
}

test.skipIf(listPhotographs().length === 0)(
  'images whose profile is omitted keep every pixel (needs ../shared/images)',
  async () => {
    const own = listPhotographs()
      .map((name) => readFileSync(`${SHARED_IMAGES}/${name}`))
      .filter(hasSrgbProfile);
    expect(own.length).toBeGreaterThan(0);
    for (const file of own) {
      const [converted, plain] = await Promise.all(
        [false, true].map((ignoreIcc) =>
          sharp(file, { ignoreIcc }).resize(64, 64).toColourspace('srgb').raw().toBuffer(),
        ),
      );
      expect(Buffer.compare(converted!, plain!)).toBe(0);
    }
  },
);
