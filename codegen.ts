import type { CodegenConfig } from '@graphql-codegen/cli';

/**
 * Typed documents in `<folder>/generated/`, for each part that speaks GraphQL: from its `.graphql` files (`ClassifyDocument` of
 * `generated/graphql.ts`), or written in place with `graphql(...)` of `generated/gql.ts`. The folders are separate so that the
 * client does not carry the documents of the tests.
 */
function typeDocuments(folder: string): CodegenConfig['generates'] {
  return {
    [`${folder}/generated/`]: {
      preset: 'client',
      documents: [`${folder}/**/*.{graphql,ts,tsx}`, `!${folder}/generated/**`],
      presetConfig: { fragmentMasking: false },
      config: {
        // Text: the client and the tests need no GraphQL library to send it.
        documentMode: 'string',
        enumsAsTypes: true,
        scalars: {
          ID: 'string',
          DateTime: 'string',
          JSON: 'unknown',
          URL: 'string',
          Upload: { input: 'Blob', output: 'never' },
        },
        strictScalars: true,
        // A field that was selected is there, null or not; a variable may be left out.
        avoidOptionals: { field: true, inputValue: false, object: false, defaultValue: false },
        useTypeImports: true,
        skipTypename: true,
      },
    },
  };
}

const config: CodegenConfig = {
  schema: 'schema.graphql',
  importExtension: '.ts',
  emitLegacyCommonJSImports: false,
  ignoreNoDocuments: true,
  generates: {
    ...typeDocuments('client'),
    ...typeDocuments('e2e'),
  },
};

export default config;
