/** All files of a drop, and the images of its folders, in the order of their names. */
export async function readDroppedFiles(data: DataTransfer): Promise<File[]> {
  // The entries must be taken before the first await: afterwards the browser empties the list.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return Array.from(data.files);
  const files = await Promise.all(entries.map((entry) => readEntry(entry)));
  return files.flat();
}

async function readEntry(entry: FileSystemEntry): Promise<File[]> {
  if (entry.name.startsWith('.')) return [];
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  const files = await Promise.all(found.map((child) => readEntry(child)));
  // What else lies in a folder was not meant.
  return files.flat().filter(({ type }) => type.startsWith('image/'));
}
