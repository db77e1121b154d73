/** Reads GraphQL multipart requests (jaydenseric's specification) while they arrive: fields first, files as streams. */

import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { formatBytes } from '@inferql/settings/format-bytes';
import busboy from 'busboy';
import type { GraphQLError } from 'graphql';
import { ignoreStream } from 'graphql-upload-ts';
import { joinSmallChunks } from './join-small-chunks.ts';
import type { FileStore } from './memory-or-disk-store.ts';
import { describeMistake, tooLarge } from './multipart-errors.ts';
import { placeUpload } from './upload-scalar.ts';
import { createPart, fileTooLarge, type UploadedPart } from './uploaded-file.ts';

export interface FormLimits {
  maxFiles: number;
  maxFileBytes: number;
  maxFieldBytes: number;
  /** The whole body, whether it announces its length or not. */
  maxBodyBytes: number;
}

interface Form {
  /** The GraphQL request with files in its variables. The files may still be arriving. */
  params: Record<string, unknown>;
  parts: UploadedPart[];
}

/**
 * Reads a form up to its files, which continue to arrive after the promise has resolved. If several parts have one name, the first counts;
 * files that the map does not name are ignored.
 * @param createStore creates the store that a file is written to, of about that many bytes; 0: unknown
 * @throws GraphQLError BAD_REQUEST that names the mistake, or REQUEST_TOO_LARGE that names the limit
 */
export function readForm(
  body: Readable,
  headers: IncomingHttpHeaders,
  limits: FormLimits,
  createStore: (expectedBytes: number) => FileStore,
): Promise<Form> {
  return new Promise((resolve, reject) => new FormReader(body, limits, createStore, resolve, reject).start(headers));
}

/** One arriving form. */
class FormReader {
  readonly #body: Readable;
  readonly #limits: FormLimits;
  readonly #createStore: (expectedBytes: number) => FileStore;
  readonly #resolve: (form: Form) => void;
  readonly #reject: (error: GraphQLError) => void;
  #parser: busboy.Busboy | undefined;
  #operations: Record<string, unknown> | undefined;
  /** By part name: the files of the map that have not arrived yet. */
  readonly #expected = new Map<string, FileStore>();
  /** Files that are arriving. */
  readonly #arriving = new Set<FileStore>();
  #hasMap = false;
  /** What the request announces; 0 if it does not. */
  #announcedBytes = 0;
  #bytes = 0;
  #isOver = false;

  constructor(
    body: Readable,
    limits: FormLimits,
    createStore: (expectedBytes: number) => FileStore,
    resolve: (form: Form) => void,
    reject: (error: GraphQLError) => void,
  ) {
    this.#body = body;
    this.#limits = limits;
    this.#createStore = createStore;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(headers: IncomingHttpHeaders): void {
    const { maxFieldBytes, maxFileBytes, maxFiles } = this.#limits;
    this.#announcedBytes = Number(headers['content-length'] ?? 0) || 0;
    try {
      this.#parser = busboy({
        headers,
        defParamCharset: 'utf8',
        // The first of each that exceeds a limit.
        limits: { fieldSize: maxFieldBytes + 1, fields: 3, fileSize: maxFileBytes + 1, files: maxFiles },
      });
    } catch {
      this.#fail(describeMistake('noBoundary'));
      return;
    }
    this.#parser
      .on('field', (name, value: string | undefined) => this.#guard(() => this.#takeField(name, value)))
      .on('file', (name, content) => this.#guard(() => this.#takeFile(name, content)))
      .on('filesLimit', () => this.#fail(tooLarge(`The request has more than ${maxFiles} files.`)))
      .on('fieldsLimit', () => this.#fail(describeMistake('notWhole')))
      .on('error', () => this.#fail(describeMistake('notWhole')))
      .on('finish', () => this.#guard(() => this.#finish()));
    this.#body.on('data', this.#pass).on('end', this.#endBody).on('error', this.#cut).on('close', this.#cut);
  }

  /** An error that a step throws fails the request. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error as GraphQLError);
    }
  }

  readonly #pass = (chunk: Buffer) => {
    this.#bytes += chunk.length;
    const { maxBodyBytes } = this.#limits;
    if (this.#bytes > maxBodyBytes) {
      this.#fail(tooLarge(`The request is larger than the ${formatBytes(maxBodyBytes)} that this server accepts.`));
    } else this.#joiner.write(chunk);
  };

  readonly #joiner = joinSmallChunks((chunk) => {
    if (this.#isOver) return;
    const takesMore = this.#parser!.write(chunk);
    // A parser that was abandoned in this chunk never drains: the rest of its body is discarded.
    if (takesMore || this.#isOver) return;
    this.#body.pause();
    this.#parser!.once('drain', () => this.#body.resume());
  });

  readonly #endBody = () => {
    this.#joiner.flush();
    if (!this.#isOver) this.#parser!.end();
  };

  readonly #cut = () => {
    if (!this.#body.readableEnded) this.#fail(describeMistake('notWhole'));
  };

  /** @param value undefined if the field names a charset that nobody knows */
  #takeField(name: string, value: string | undefined): void {
    if (this.#isOver) return;
    if (value === undefined) throw describeMistake('unknownCharset', name);
    if (Buffer.byteLength(value) > this.#limits.maxFieldBytes) {
      const message = `A text field of the form is larger than the ${formatBytes(this.#limits.maxFieldBytes)} that this server accepts.`;
      throw tooLarge(message);
    }
    if (name === 'operations') this.#takeOperations(value);
    else if (name === 'map') this.#takeMap(value);
    else throw describeMistake(this.#expected.has(name) ? 'textInsteadOfFile' : 'extraField', name);
  }

  #takeOperations(text: string): void {
    const operations = parseJson(text);
    if (operations === undefined) throw describeMistake('operationsNoJson');
    if (!isPlainObject(operations)) throw describeMistake('operationsNoObject');
    this.#operations ??= operations;
  }

  #takeMap(text: string): void {
    if (this.#hasMap) return;
    if (!this.#operations) throw describeMistake('mapFirst');
    const map = parseJson(text);
    if (map === undefined) throw describeMistake('mapNoJson');
    if (!isPlainObject(map)) throw describeMistake('mapNoObject');
    const entries = Object.entries(map);
    if (entries.length > this.#limits.maxFiles) {
      throw tooLarge(`The request has more than ${this.#limits.maxFiles} files.`);
    }
    const parts: UploadedPart[] = [];
    for (const [name, paths] of entries) {
      if (!isListOfTexts(paths)) throw describeMistake('mapEntry', name);
      // With several files, nobody says how long each is.
      const store = this.#createStore(entries.length === 1 ? this.#announcedBytes : 0);
      const variables = paths.map((path) => /^variables\.([^.]+)/.exec(path)?.[1] ?? '');
      const part = createPart(store, variables);
      for (const path of paths) {
        if (!placeUpload(this.#operations, path, part.file)) throw describeMistake('path', path);
      }
      parts.push(part);
      this.#expected.set(name, store);
    }
    this.#hasMap = true;
    this.#resolve({ params: this.#operations, parts });
  }

  #takeFile(name: string, content: Readable): void {
    if (!this.#hasMap || this.#isOver) {
      ignoreStream(content);
      if (this.#isOver) return;
      throw describeMistake(this.#operations ? 'noMap' : 'fileFirst');
    }
    const store = this.#expected.get(name);
    if (!store) {
      ignoreStream(content);
      return;
    }
    this.#expected.delete(name);
    this.#arriving.add(store);
    let isCut = false;
    content
      .on('data', (chunk: Buffer) => {
        const written = store.write(chunk);
        if (!written) return;
        content.pause();
        void written.then(() => content.resume());
      })
      .once('limit', () => {
        isCut = true;
        this.#arriving.delete(store);
        store.fail(fileTooLarge(this.#limits.maxFileBytes));
      })
      .once('end', () => {
        this.#arriving.delete(store);
        if (!isCut) store.end();
      })
      .on('error', () => this.#fail(describeMistake('notWhole')));
  }

  #finish(): void {
    if (!this.#operations) throw describeMistake('noOperations');
    if (!this.#hasMap) throw describeMistake('noMap');
    for (const [name, store] of this.#expected) store.fail(describeMistake('missingFile', name));
    this.#leave();
  }

  /** Before the map was read, the request fails; later, only files that have not arrived. */
  #fail(error: GraphQLError): void {
    if (this.#isOver) return;
    this.#reject(error);
    for (const store of [...this.#arriving, ...this.#expected.values()]) store.fail(error);
    this.#leave();
    this.#parser?.on('error', () => undefined).destroy();
  }

  #leave(): void {
    this.#isOver = true;
    this.#body.off('data', this.#pass).off('end', this.#endBody).off('error', this.#cut).off('close', this.#cut);
    // The rest is dropped, but must be read from the connection for the next request.
    this.#body.on('error', () => undefined).resume();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOfTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}
