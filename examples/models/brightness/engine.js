/** @type {import('@inferql/worker').ModelModule} */
export default {
  name: 'brightness',
  input: { width: 32, height: 32, channels: 1 },
  labels: ['dark', 'bright'],
  // Called once per engine process. Load weights here.
  load: ({ input }) => {
    const bytes = input.width * input.height * input.channels;
    return {
      // Called once per batch: `count` images, uint8, channels last.
      run: ({ images, count }) => ({
        probabilities: Array.from({ length: count }, (_, i) => {
          const pixels = images.subarray(i * bytes, (i + 1) * bytes);
          const mean = pixels.reduce((sum, value) => sum + value, 0) / bytes / 255;
          return [1 - mean, mean];
        }),
      }),
    };
  },
};
