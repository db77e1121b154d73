import type { ReactNode } from 'react';

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      {children}
    </svg>
  );
}

export const PhotosIcon = () => (
  <Icon>
    <rect x="2.5" y="3.5" width="15" height="13" rx="2.5" />
    <circle cx="7" cy="8" r="1.4" />
    <path d="m3 14 4-3.5 3 2.5 3.5-4 4 4.5" />
  </Icon>
);

export const CameraIcon = () => (
  <Icon>
    <path d="M3.5 6.5h2.6l1.4-2h5l1.4 2h2.6a1 1 0 0 1 1 1v7.5a1 1 0 0 1-1 1h-13a1 1 0 0 1-1-1V7.5a1 1 0 0 1 1-1Z" />
    <circle cx="10" cy="11" r="2.8" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m5.5 5.5 9 9m0-9-9 9" />
  </Icon>
);

export const LinkIcon = () => (
  <Icon>
    <path d="m8.5 11.5 3-3M9.5 6.5l1.7-1.7a2.8 2.8 0 0 1 4 4L13.5 10.5M10.5 13.5l-1.7 1.7a2.8 2.8 0 0 1-4-4L6.5 9.5" />
  </Icon>
);

export const RetryIcon = () => (
  <Icon>
    <path d="M15.5 10a5.5 5.5 0 1 1-1.7-4M15.5 3v3.5H12" />
  </Icon>
);

export const BackIcon = () => (
  <Icon>
    <path d="M15.5 10h-11m4.5-4.5L4.5 10 9 14.5" />
  </Icon>
);
