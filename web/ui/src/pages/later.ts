// All pages but the first lists and the sign-in. Together they are the one file later.js, loaded at
// the first of them: import this with import() only.
export { AttentionPage } from './credentials/attention/page';
export { NewCredentialPage } from './credentials/create';
export { CredentialPage } from './credentials/detail';
export { RotationPage } from './credentials/rotation/page';
export { ImportPage } from './credentials/transfer/page';
export { KeysPage } from './keys/page';
export { RunPage } from './runs/detail';
export { RunListPage } from './runs/list';
export { SetupPage } from './session/setup';
export { TriggerListPage } from './triggers/list';
export { NewWorkflowPage } from './workflows/create';
export { WorkflowPage } from './workflows/detail';
