export default {
  // They start threads and processes from files beside their own, and cannot be bundled.
  serverExternalPackages: ['@inferql/server', 'sharp'],
};
