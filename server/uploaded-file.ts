/** One file of a multipart request, as a resolver is given it. */
export interface UploadedFile {
  /** The name that the client gave, for messages only: it is not to be trusted. */
  filename: string;
  /**
   * The whole file in memory.
   * @throws InferqlError EMPTY, TOO_LARGE, or CORRUPT where the request ended before the file did.
   */
  readBytes(): Promise<Buffer>;
}
