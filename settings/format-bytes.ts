const UNITS = ['GiB', 'MiB', 'KiB', 'GB', 'MB', 'kB'].map((name, index) => ({
  name,
  size: (index < 3 ? 1024 : 1000) ** (3 - (index % 3)),
}));

/** A limit as people read it, never rounded: `10 MiB`, `5 MB`, `1,234 bytes`. */
export function formatBytes(bytes: number): string {
  const unit = UNITS.find(({ size }) => bytes >= size && bytes % size === 0);
  return unit
    ? `${(bytes / unit.size).toLocaleString('en-US')} ${unit.name}`
    : `${bytes.toLocaleString('en-US')} bytes`;
}
