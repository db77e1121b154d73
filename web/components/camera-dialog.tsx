import { type RefObject, useEffect, useRef, useState } from 'react';

interface CameraDialogProps {
  onPhoto(file: File): void;
  onClose(): void;
}

/**
 * The camera's live picture and a shutter. If the page may not use the camera, it offers the phone's camera app. The dialog is
 * closed before it is removed, so that the browser restores the focus.
 */
export function CameraDialog({ onPhoto, onClose }: CameraDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);

  const { video, state } = useCamera(dialog);

  const release = () => {
    const from = video.current;
    if (!from) return;
    takePhoto(from, (photo) => {
      if (photo) onPhoto(photo);
      dialog.current?.close();
    });
  };

  return (
    <dialog ref={dialog} className="camera" aria-label="Take a photo" onClose={onClose}>
      <div className="camera-view">
        <video ref={video} muted playsInline hidden={state !== 'live'} />
        {state === 'asking' && <p>Waiting for the camera…</p>}
        {state === 'unavailable' && (
          <>
            <p>This page cannot use the camera. Allow it in the browser, and open the page at an https address.</p>
            <label className="button button-primary">
              <span className="for-mouse">Choose a photo instead</span>
              <span className="for-touch">Use the camera app</span>
              <input
                type="file"
                accept="image/*"
                capture="environment"
                className="visually-hidden"
                onChange={({ target }) => {
                  const [file] = target.files ?? [];
                  if (file) onPhoto(file);
                  dialog.current?.close();
                }}
              />
            </label>
          </>
        )}
      </div>
      <div className="camera-buttons">
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
        {state !== 'unavailable' && (
          <button type="button" className="button button-primary" disabled={state !== 'live'} onClick={release}>
            Take photo
          </button>
        )}
      </div>
    </dialog>
  );
}

/** Opens the dialog, and shows the camera's picture in `video` until the dialog is removed. */
function useCamera(dialog: RefObject<HTMLDialogElement | null>) {
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<'asking' | 'live' | 'unavailable'>('asking');

  useEffect(() => {
    dialog.current?.showModal();
    let stream: MediaStream | undefined;
    let left = false;
    const open = async () => {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: 'environment', width: { ideal: 1920 }, height: { ideal: 1080 } },
      });
      if (left || !video.current) {
        stopStream(stream);
        return;
      }
      video.current.srcObject = stream;
      await video.current.play();
      setState('live');
    };
    open().catch(() => !left && setState('unavailable'));
    return () => {
      left = true;
      if (stream) stopStream(stream);
    };
  }, [dialog]);

  return { video, state };
}

/** What the camera shows now, as a JPEG; undefined if the browser cannot make one. */
function takePhoto(video: HTMLVideoElement, onTaken: (photo: File | undefined) => void): void {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  canvas.toBlob(
    (blob) => onTaken(blob ? new File([blob], `${formatMoment(new Date())}.jpg`, { type: 'image/jpeg' }) : undefined),
    'image/jpeg',
    0.92,
  );
}

function stopStream(stream: MediaStream) {
  for (const track of stream.getTracks()) track.stop();
}

function formatMoment(moment: Date): string {
  return `Photo ${moment.toTimeString().slice(0, 8).replaceAll(':', '.')}`;
}
