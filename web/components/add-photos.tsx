import { useRef, useState } from 'react';
import { CameraDialog } from './camera-dialog.tsx';
import { CameraIcon, PhotosIcon } from './icons.tsx';
import { Samples } from './samples.tsx';

/** Listed without HEIC: with this list a phone converts its photos to JPEG. */
const ACCEPT = 'image/jpeg,image/png,image/webp,image/avif,image/gif,image/tiff';

/** Sources of images other than dropping and pasting: chooser, camera, samples. */
export function AddPhotos({ onFiles }: { onFiles(files: File[]): void }) {
  const chooser = useRef<HTMLInputElement>(null);
  const [cameraOpen, setCameraOpen] = useState(false);

  return (
    <section className="add-photos" aria-labelledby="add-photos-title">
      <div>
        <h2 id="add-photos-title" className="add-photos-title">
          Add photos
        </h2>
        <p className="add-photos-hint">
          <span className="for-mouse">Drop them anywhere on the page, or paste them</span>
          <span className="for-touch">From your library, or straight from the camera</span>
        </p>
        <div className="add-photos-buttons">
          <button type="button" className="button button-primary" onClick={() => chooser.current?.click()}>
            <PhotosIcon />
            Choose photos
          </button>
          <button type="button" className="button" onClick={() => setCameraOpen(true)}>
            <CameraIcon />
            Take a photo
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
      {cameraOpen && <CameraDialog onPhoto={(file) => onFiles([file])} onClose={() => setCameraOpen(false)} />}
    </section>
  );
}
