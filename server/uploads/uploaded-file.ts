import { InferqlError } from '@inferql/queue/error-codes';
import { formatBytes } from '@inferql/settings/format-bytes';

/** One file of a multipart request, as resolvers get it. */
export interface UploadedFile {
  /**
   * Resolves once the whole file has arrived, in memory or on disk.
   * @throws InferqlError TOO_LARGE; GraphQLError with HTTP status 400 if the request ended before the file did
   */
  arrived(): Promise<void>;
  /** The whole file in memory. Throws as `arrived` does. */
  readBytes(): Promise<Buffer>;
  /** Releases one use of the file. It is freed with the last one. Every user calls it once. */
  release(): void;
}

/** One part of the form. It may be the value of several variables, and each of them of several arguments. */
export interface UploadedPart {
  file: UploadedFile;
  /** The variables that contain it, once per place. */
  variables: string[];
  /** How many arguments will use it. Default: one per place. */
  expectUses(uses: number): void;
}

/** The store of a part's bytes. */
interface PartStore extends Pick<UploadedFile, 'arrived' | 'readBytes'> {
  /** Called once, with the last release. A file that is never released is freed with the response. */
  free(): void;
}

/**
 * A part whose bytes are freed once every use of it has been released.
 * @param variables the variables that contain it, once per place
 */
export function createPart(store: PartStore, variables: string[]): UploadedPart {
  let unreleased = variables.length;
  return {
    variables,
    expectUses(uses) {
      unreleased = uses;
    },
    file: {
      arrived: () => store.arrived(),
      readBytes: () => store.readBytes(),
      release() {
        if (--unreleased === 0) store.free();
      },
    },
  };
}

/** TOO_LARGE with the limit, however the file came. @param maxBytes of one file */
export function fileTooLarge(maxBytes: number): InferqlError {
  return new InferqlError('TOO_LARGE', {
    message: `The file is larger than the ${formatBytes(maxBytes)} that this server accepts.`,
  });
}
