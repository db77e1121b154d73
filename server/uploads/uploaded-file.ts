/** One file of a multipart request, as a resolver is given it. */
export interface UploadedFile {
  /**
   * Resolves once the whole file has come, to memory or to disk.
   * @throws InferqlError TOO_LARGE; GraphQLError with HTTP status 400 where the request ended before the file did
   */
  arrived(): Promise<void>;
  /** The whole file in memory. Throws as `arrived` does. */
  readBytes(): Promise<Buffer>;
  /** Says that one of those it was given to needs it no longer: it goes with the last of them. To be called once by each. */
  release(): void;
}

/** One part of the form, which may stand for several variables, and each of them for several arguments. */
export interface UploadedPart {
  file: UploadedFile;
  /** The variables that it stands in, once for each place. */
  variables: string[];
  /** How many arguments will be given it. Without this: one for each place. */
  expectUses(uses: number): void;
}

/** What keeps a part's bytes. */
interface PartStore extends Pick<UploadedFile, 'arrived' | 'readBytes'> {
  /** Called once, with the last release. What is never released goes with the response. */
  free(): void;
}

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
