/** Common mistakes in multipart requests, each with a message that leads to the right request. */
import { GraphQLError } from 'graphql';

/** An example of a correct request. */
const EXAMPLE = `curl URL/graphql -H 'x-graphql-yoga-csrf: 1' -F 'operations={"query":"mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id status } } }","variables":{"image":null}}' -F 'map={"0":["variables.image"]}' -F '0=@image.jpg'`;

const MAX_QUOTED_LENGTH = 40;

/** A client's input, truncated: an answer never repeats all of it. */
function quote(text: string): string {
  return `'${text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text}'`;
}

const MISTAKES = {
  noBoundary: () =>
    'The Content-Type has no boundary, so the parts cannot be separated. Do not set this header: your HTTP library does, when it encodes a form.',
  notWhole: () => 'The body is not a complete multipart form: it ends too early, or a part is malformed.',
  unknownCharset: (name: string) =>
    `The text field ${quote(name)} is in a character set that this server does not know. Send it in UTF-8.`,
  noOperations: () => "The form has no field 'operations', the GraphQL request as JSON.",
  noMap: () => "The form has no field 'map', which names the variable of each file.",
  mapFirst: () => "The field 'map' came before 'operations'. The order is: operations, map, files.",
  fileFirst: () => 'A file came before the fields. The order is: operations, map, files.',
  operationsNoJson: () =>
    "The field 'operations' is not JSON. In a shell, put it into single quotes, and its names and texts into double ones.",
  operationsNoObject: () =>
    "The field 'operations' is not a JSON object with 'query' and 'variables'. Lists of requests are not accepted.",
  mapNoJson: () =>
    "The field 'map' is not JSON. In a shell, put it into single quotes, and its names and texts into double ones.",
  mapNoObject: () => "The field 'map' is not a JSON object of part names and lists of paths.",
  mapEntry: (name: string) => `In the field 'map', ${quote(name)} is not a list of paths such as ["variables.image"].`,
  path: (path: string) =>
    `The field 'map' names ${quote(path)}, which is not a variable that is null in 'operations'. Write null where the file belongs.`,
  textInsteadOfFile: (name: string) =>
    `The part ${quote(name)} is text, not a file. With curl, put @ before the name of the file. In a program, give the part a file name.`,
  extraField: (name: string) =>
    `The form has a text field ${quote(name)}. Besides 'operations' and 'map' it may hold files only; other values are variables.`,
  subscription: () =>
    'A subscription cannot be sent as a form. Send files with a mutation, and watch its prediction with a subscription.',
  missingFile: (name: string) => `The field 'map' names the part ${quote(name)}, but no file of that name arrived.`,
} satisfies Record<string, (what: string) => string>;

export type MultipartMistake = keyof typeof MISTAKES;

/** An error that names the mistake and shows a correct request. @param what the part or path that it is about */
export function describeMistake(mistake: MultipartMistake, what = ''): GraphQLError {
  return new GraphQLError(MISTAKES[mistake](what), {
    extensions: { code: 'BAD_REQUEST', example: EXAMPLE, http: { status: 400 } },
  });
}

/** An error for what exceeds a limit; it names the limit. */
export function tooLarge(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'REQUEST_TOO_LARGE', http: { status: 413 } } });
}
