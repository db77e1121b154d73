/** What was dropped: files to send, and the names of files in folders that are not images. */
export interface Dropped {
  files: File[];
  leftOut: string[];
}

/** All files of a drop, and the images of its folders, in the order of their names. */
export async function readDroppedFiles(data: DataTransfer): Promise<Dropped> {
  // The entries must be taken before the first await: afterwards the browser empties the list.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return { files: Array.from(data.files), leftOut: [] };
  return join(await Promise.all(entries.map((entry) => readEntry(entry))));
}

async function readEntry(entry: FileSystemEntry): Promise<Dropped> {
  if (entry.name.startsWith('.')) return { files: [], leftOut: [] };
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return { files: [file], leftOut: [] };
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  const { files, leftOut } = join(await Promise.all(found.map((child) => readEntry(child))));
  return {
    files: files.filter(mayBeImage),
    leftOut: [...leftOut, ...files.filter((file) => !mayBeImage(file)).map(({ name }) => name)],
  };
}

/** Browsers report no type for many image formats, such as HEIC and raw files, and for files without an extension: the server reads the content. */
function mayBeImage({ type }: File): boolean {
  return type === '' || type.startsWith('image/');
}

function join(parts: readonly Dropped[]): Dropped {
  return { files: parts.flatMap(({ files }) => files), leftOut: parts.flatMap(({ leftOut }) => leftOut) };
}
