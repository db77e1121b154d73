/** One file of a multipart request, as a resolver is given it. */
export interface UploadedFile {
  /**
   * The whole file in memory.
   * @throws InferqlError TOO_LARGE; GraphQLError with HTTP status 400 where the request ended before the file did
   */
  readBytes(): Promise<Buffer>;
}
