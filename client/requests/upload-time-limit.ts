/** Time limits for uploads that share one connection. */
export interface SharedLine {
  /** Reports that an upload of this size begins. */
  begin(bytes: number): SharedUpload;
}

export interface SharedUpload {
  /** Milliseconds that it may still take. Grows if other uploads start meanwhile. */
  leftMs(): number;
  /** Reports that something was sent. */
  advance(): void;
  end(): void;
}

/** 256 kbit/s. What was sent may still wait in the buffers of the system, so only time distinguishes a slow line from a dead one. */
const SLOWEST_BYTES_PER_MS = 32;

/** @param baseMs time that each upload may take in addition to the time for all bytes of all uploads */
export function createSharedLine(baseMs: number): SharedLine {
  const uploads = new Set<{ mostBytes: number }>();
  let bytesInFlight = 0;
  return {
    begin(bytes) {
      const upload = { mostBytes: 0 };
      let sinceMs = performance.now();
      uploads.add(upload);
      bytesInFlight += bytes;
      for (const each of uploads) each.mostBytes = Math.max(each.mostBytes, bytesInFlight);
      return {
        leftMs: () => baseMs + upload.mostBytes / SLOWEST_BYTES_PER_MS - (performance.now() - sinceMs),
        advance() {
          sinceMs = performance.now();
        },
        end() {
          if (uploads.delete(upload)) bytesInFlight -= bytes;
        },
      };
    },
  };
}
