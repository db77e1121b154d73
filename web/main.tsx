import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './components/app.tsx';
import type { KeyFormProps } from './components/key-form.tsx';
import { createApi } from './state/api.ts';
import { findRefusal, keepApiKey, readApiKey } from './state/api-key.ts';
import { Board } from './state/board.ts';
import { keepSession } from './state/session.ts';
import './styles/base.css';
import './styles/queue-strip.css';
import './styles/page.css';
import './styles/add-photos.css';
import './styles/card-photo.css';
import './styles/card.css';
import './styles/card-alone.css';
import './styles/key-form.css';

const root = createRoot(document.getElementById('root')!);
const api = createApi(location.origin, { key: readApiKey(), onRefused: () => void askForKey() });
const board = new Board(api);
const notSent = keepSession(board);
show(undefined);

function show(keyForm: KeyFormProps | undefined): void {
  root.render(
    <StrictMode>
      <App api={api} board={board} notSent={notSent} keyForm={keyForm} />
    </StrictMode>,
  );
}

/** The server requires a key, or no longer accepts the previous one. The board stays as it is, and goes on with the next key. */
async function askForKey(): Promise<void> {
  const check = (text: string) => findRefusal(location.origin, text);
  const key = readApiKey();
  const refusal = key === undefined ? undefined : await check(key);
  keepApiKey(undefined);
  const onKey = (text: string) => {
    keepApiKey(text);
    api.changeKey(text);
    board.resume();
    show(undefined);
  };
  show({ refusal, check, onKey });
}
