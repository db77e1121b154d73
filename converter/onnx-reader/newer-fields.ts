import type onnxProto from 'onnx-proto';

type Onnx = typeof onnxProto.onnx;
type Reader = Exclude<Parameters<Onnx['NodeProto']['decode']>[0], Uint8Array>;
type Writer = ReturnType<Onnx['NodeProto']['encode']>;

/** Fields that a message kept: their tags and contents. */
type Kept = [tag: number, content: Uint8Array][];
const kept = new WeakMap<object, Kept>();

/** The type of strings, bytes and messages. */
const BYTES = 2;

interface MessageType<T extends object> {
  decode(reader: Reader | Uint8Array, length?: number): T;
  encode(message: object, writer?: Writer): Writer;
}

/**
 * Lets messages keep what was added to ONNX after the version that `onnx-proto` knows, and which it would drop: the default attributes of
 * functions, without which they calculate something else, and the overloads that tell functions of one name apart.
 */
export function keepNewerFields({ NodeProto, FunctionProto }: Onnx): void {
  // The last field that each knows is `domain`.
  keepAbove(NodeProto as unknown as MessageType<object>, 7);
  keepAbove(FunctionProto as unknown as MessageType<object>, 10);
}

/** @param last the largest number of a field that the type knows */
function keepAbove(type: MessageType<object>, last: number): void {
  const { decode, encode } = type;
  type.decode = (reader, length) => {
    if (reader instanceof Uint8Array || length === undefined) return decode(reader, length);
    const start = reader.pos;
    const message = decode(reader, length);
    const end = reader.pos;
    const found: Kept = [];
    for (reader.pos = start; reader.pos < end; ) {
      const tag = reader.uint32();
      if (tag % 8 === BYTES && tag >>> 3 > last) found.push([tag, reader.bytes()]);
      else reader.skipType(tag & 7);
    }
    if (found.length > 0) kept.set(message, found);
    return message;
  };
  type.encode = (message, writer) => {
    const written = encode(message, writer);
    for (const [tag, content] of kept.get(message) ?? []) written.uint32(tag).bytes(content);
    return written;
  };
}
