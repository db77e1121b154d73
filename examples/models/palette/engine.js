// Labels, a second head and an embedding. The numbers are counted, not learned, so that the example needs no weights.
const STEPS = 8;

export default ({ input }) => {
  const pixels = input.width * input.height;

  /** Per image: how bright it is, the share of each channel, and a histogram per channel. */
  function measure(image) {
    const sums = [0, 0, 0];
    const histogram = new Float32Array(3 * STEPS);
    image.forEach((value, at) => {
      const channel = at % 3;
      sums[channel] += value;
      histogram[channel * STEPS + Math.floor((value * STEPS) / 256)] += 1 / pixels;
    });
    const total = sums.reduce((sum, value) => sum + value, 0);
    const bright = total / (3 * 255 * pixels);
    return { kind: [1 - bright, bright], color: sums.map((sum) => (total === 0 ? 0 : sum / total)), histogram };
  }

  return {
    run({ images, count }) {
      const bytes = pixels * 3;
      const rows = Array.from({ length: count }, (_, i) => measure(images.subarray(i * bytes, (i + 1) * bytes)));
      return {
        probabilities: rows.map(({ kind }) => kind),
        outputs: { color: rows.map(({ color }) => color), histogram: rows.map(({ histogram }) => histogram) },
      };
    },
  };
};
