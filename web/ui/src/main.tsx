import './styles';
import { setNonce } from 'get-nonce';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { preferredLanguage, startTranslations } from './i18n';

// The nonce of this response's policy: read from the meta element (browsers hide nonce
// attributes), given to Mantine below and to get-nonce for the scroll lock of dialogs.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
setNonce(nonce);

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
const language = preferredLanguage();
document.documentElement.lang = language;
await startTranslations(language);
createRoot(root).render(<App nonce={nonce} />);
