/** The scalar `Upload`, and files among the variables of an operation. */
import { GraphQLError, GraphQLScalarType } from 'graphql';
import { Upload } from 'graphql-upload-ts';
import { fileFromBlob } from './file-from-bytes.ts';
import type { UploadedFile } from './uploaded-file.ts';

/** Represents a file among the variables: a class, so that a plain JSON object is never taken for a file. */
class PlacedUpload extends Upload {
  readonly content: UploadedFile;

  constructor(content: UploadedFile) {
    super();
    this.content = content;
  }
}

/**
 * Puts a file at a path such as `variables.images.0`.
 * @returns false if the path does not lead to a null value that is an own property
 */
export function placeUpload(operations: Record<string, unknown>, path: string, file: UploadedFile): boolean {
  const keys = path.split('.');
  const last = keys.pop()!;
  let holder: unknown = operations;
  for (const key of keys) holder = isHolder(holder) && Object.hasOwn(holder, key) ? holder[key] : undefined;
  if (keys[0] !== 'variables' || !isHolder(holder) || holder instanceof Upload) return false;
  if (!Object.hasOwn(holder, last) || holder[last] !== null) return false;
  holder[last] = new PlacedUpload(file);
  return true;
}

function isHolder(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** From any implementation of the Fetch API. */
function isBlob(value: unknown): value is Pick<Blob, 'arrayBuffer'> {
  return (
    typeof value === 'object' && value !== null && 'arrayBuffer' in value && typeof value.arrayBuffer === 'function'
  );
}

export const UploadScalar = new GraphQLScalarType<UploadedFile, never>({
  name: 'Upload',
  description:
    'A file in a request that follows the GraphQL multipart request specification: the variable is `null` in `operations`, and `map` names the part that carries the file.',
  specifiedByURL: 'https://github.com/jaydenseric/graphql-multipart-request-spec',
  parseValue(value) {
    if (value instanceof PlacedUpload) return value.content;
    // From the multipart reader of another server that runs this schema. JSON cannot contain functions, so no plain object is accepted.
    if (isBlob(value)) return fileFromBlob(value);
    throw new GraphQLError('An Upload must be sent as a file in a multipart request.');
  },
  parseLiteral(node) {
    throw new GraphQLError('An Upload cannot be written in the document: pass it as a variable.', { nodes: node });
  },
  serialize() {
    throw new GraphQLError('An Upload cannot be read back.');
  },
});
