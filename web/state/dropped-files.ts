/** What was dropped: files to send, and the names of what is not sent. */
export interface Dropped {
  files: File[];
  /** Files in folders that are not images. */
  leftOut: string[];
  /** Files and folders that the browser cannot read. */
  unreadable: string[];
}

const NOTHING: Dropped = { files: [], leftOut: [], unreadable: [] };

/** All files of a drop, and the images of its folders, in the order of their names. */
export async function readDroppedFiles(data: DataTransfer): Promise<Dropped> {
  // The entries must be taken before the first await: afterwards the browser empties the list.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return { ...NOTHING, files: Array.from(data.files) };
  return join(await Promise.all(entries.map((entry) => readEntry(entry))));
}

async function readEntry(entry: FileSystemEntry): Promise<Dropped> {
  if (entry.name.startsWith('.')) return NOTHING;
  try {
    return await (entry.isFile
      ? readFile(entry as FileSystemFileEntry)
      : readFolder(entry as FileSystemDirectoryEntry));
  } catch {
    // No permission, or deleted meanwhile. The others are sent.
    return { ...NOTHING, unreadable: [entry.name] };
  }
}

async function readFile(entry: FileSystemFileEntry): Promise<Dropped> {
  return { ...NOTHING, files: [await new Promise<File>((resolve, reject) => entry.file(resolve, reject))] };
}

async function readFolder(entry: FileSystemDirectoryEntry): Promise<Dropped> {
  const reader = entry.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  const { files, leftOut, unreadable } = join(await Promise.all(found.map((child) => readEntry(child))));
  return {
    files: files.filter(mayBeImage),
    leftOut: [...leftOut, ...files.filter((file) => !mayBeImage(file)).map(({ name }) => name)],
    unreadable,
  };
}

/** Browsers report no type for many image formats, such as HEIC and raw files, and for files without an extension: the server reads the content. */
function mayBeImage({ type }: File): boolean {
  return type === '' || type.startsWith('image/');
}

function join(parts: readonly Dropped[]): Dropped {
  return {
    files: parts.flatMap(({ files }) => files),
    leftOut: parts.flatMap(({ leftOut }) => leftOut),
    unreadable: parts.flatMap(({ unreadable }) => unreadable),
  };
}
