import { useEffect, useRef, useState } from 'react';
import { readDroppedFiles } from '../state/files.ts';
import { CameraDialog } from './camera-dialog.tsx';
import { CameraIcon, PhotosIcon } from './icons.tsx';
import { Samples } from './samples.tsx';

/** Listed without HEIC: with this list a phone converts its photographs to JPEG by itself. */
const ACCEPT = 'image/jpeg,image/png,image/webp,image/avif,image/gif,image/tiff';

/** All the ways for photographs to come in: drop anywhere, paste, choose, camera, samples. */
export function Intake({ onFiles }: { onFiles(files: File[]): void }) {
  const chooser = useRef<HTMLInputElement>(null);
  const [dragging, setDragging] = useState(false);
  const [cameraOpen, setCameraOpen] = useState(false);
  const latest = useRef(onFiles);
  latest.current = onFiles;

  useEffect(() => {
    const take = (files: File[]) => files.length > 0 && latest.current(files);
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
      void readDroppedFiles(event.dataTransfer).then(take);
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

  return (
    <section className="intake" data-dragging={dragging} aria-label="Add photographs">
      <div className="intake-drop">
        <p className="intake-title">{dragging ? 'Let go to classify' : 'Add photographs'}</p>
        <p className="intake-hint">Drop them anywhere on the page, or paste them</p>
        <div className="intake-buttons">
          <button type="button" className="button button-primary" onClick={() => chooser.current?.click()}>
            <PhotosIcon />
            Choose photos
          </button>
          <button type="button" className="button" onClick={() => setCameraOpen(true)}>
            <CameraIcon />
            Take one
          </button>
          <input
            ref={chooser}
            type="file"
            hidden
            multiple
            accept={ACCEPT}
            onChange={({ target }) => {
              const files = Array.from(target.files ?? []);
              target.value = '';
              if (files.length > 0) onFiles(files);
            }}
          />
        </div>
      </div>
      <Samples onFile={(file) => onFiles([file])} />
      {cameraOpen && <CameraDialog onPhotograph={(file) => onFiles([file])} onClose={() => setCameraOpen(false)} />}
    </section>
  );
}
