import { GraphQLError, GraphQLScalarType } from 'graphql';
import { fileFromBlob } from './file-from-bytes.ts';
import type { UploadedFile } from './uploaded-file.ts';

/** Marks values that the multipart reader made, so that a plain JSON object never passes for a file. */
const uploads = new WeakSet<object>();

/** Lets a value pass as `Upload`. */
export function markUpload<T extends UploadedFile>(file: T): T {
  uploads.add(file);
  return file;
}

/** Whatever implementation of the Fetch API it is from. */
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
    if (typeof value === 'object' && value !== null && uploads.has(value)) return value as UploadedFile;
    // From the multipart reader of another server that runs this schema. JSON holds no functions, so no plain object passes.
    if (isBlob(value)) return fileFromBlob(value);
    throw new GraphQLError('An Upload must come as a file of a multipart request.');
  },
  parseLiteral(node) {
    throw new GraphQLError('An Upload cannot be written in the document: pass it as a variable.', { nodes: node });
  },
  serialize() {
    throw new GraphQLError('An Upload cannot be read back.');
  },
});
