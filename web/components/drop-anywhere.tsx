import { useEffect, useRef, useState } from 'react';
import { type Dropped, readDroppedFiles } from '../state/dropped-files.ts';

interface DropAnywhereProps {
  onFiles(files: File[]): void;
  /** Gets the names of what is not sent, after each drop. */
  onSkipped(skipped: Omit<Dropped, 'files'>): void;
}

/** Takes images that are dropped or pasted anywhere on the page. A drop is always handled, since the browser would leave the page. */
export function DropAnywhere({ onFiles, onSkipped }: DropAnywhereProps) {
  const [dragging, setDragging] = useState(false);
  const latest = useRef({ onFiles, onSkipped });
  latest.current = { onFiles, onSkipped };

  useEffect(() => {
    const take = (files: File[]) => files.length > 0 && latest.current.onFiles(files);
    const paste = (event: ClipboardEvent) => take(Array.from(event.clipboardData?.files ?? []));
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      setDragging(true);
    };
    const leave = (event: DragEvent) => {
      if (!event.relatedTarget) setDragging(false);
    };
    const drop = (event: DragEvent) => {
      setDragging(false);
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      void readDroppedFiles(event.dataTransfer).then(({ files, ...skipped }) => {
        take(files);
        latest.current.onSkipped(skipped);
      });
    };
    addEventListener('paste', paste);
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('paste', paste);
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, []);

  return dragging ? <p className="drop-target">Drop to classify</p> : null;
}
