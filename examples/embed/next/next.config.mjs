export default {
  // They start threads and processes from files next to their own, and cannot be bundled.
  serverExternalPackages: ['@inferql/server', 'sharp'],
};
