import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './components/app.tsx';
import { createBoard } from './state/board.ts';
import { keepSession } from './state/session.ts';
import { createTransport } from './transport/client.ts';
import './styles/base.css';
import './styles/page.css';
import './styles/intake.css';
import './styles/card.css';

const transport = createTransport(location.origin);
const board = createBoard(transport);
const notSent = keepSession(board);

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App transport={transport} board={board} notSent={notSent} />
  </StrictMode>,
);
