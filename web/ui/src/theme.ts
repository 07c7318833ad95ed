import {
  ActionIcon,
  Alert,
  Badge,
  Button,
  createTheme,
  type CSSVariablesResolver,
  Menu,
  Modal,
  NavLink,
  Select,
  Switch,
  Table,
  TagsInput,
  Textarea,
  TextInput,
  PasswordInput,
} from '@mantine/core';

// A calm, dense look: one blue, small type, hairline borders. Shade 8 with autoContrast and
// dot badges keep every text at 4.5:1 or better in both schemes.
export const theme = createTheme({
  colors: {
    // A cool grey for the dark scheme, darkest last; 0 is the text, 6 inputs, 7 the page.
    dark: ['#cdd2d9', '#b4bac4', '#8d96a1', '#6b747f', '#434a54', '#343a42', '#262a31', '#1d2025', '#16181c', '#101215'],
  },
  primaryColor: 'blue',
  primaryShade: 8,
  autoContrast: true,
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Noto Sans Mono", "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  headings: {
    fontWeight: '600',
    sizes: { h1: { fontSize: '1.25rem' }, h2: { fontSize: '0.9375rem' }, h3: { fontSize: '0.875rem' } },
  },
  components: {
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: 'subtle', color: 'gray', size: 'md' } }),
    Alert: Alert.extend({ defaultProps: { variant: 'outline', p: 'sm' } }),
    Badge: Badge.extend({ defaultProps: { variant: 'dot', radius: 'xl', tt: 'none', fw: 500 } }),
    Button: Button.extend({ defaultProps: { size: 'xs' } }),
    // Below the landmark it belongs to, and of menu items alone.
    Menu: Menu.extend({ defaultProps: { withinPortal: false, withInitialFocusPlaceholder: false } }),
    Modal: Modal.extend({
      // The title bar is no second banner of the page.
      defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 }, attributes: { header: { role: 'presentation' } } },
    }),
    NavLink: NavLink.extend({ defaultProps: { variant: 'filled' } }),
    PasswordInput: PasswordInput.extend({ defaultProps: { size: 'sm' } }),
    Select: Select.extend({ defaultProps: { size: 'sm', allowDeselect: false } }),
    Switch: Switch.extend({ defaultProps: { size: 'sm' } }),
    Table: Table.extend({ defaultProps: { verticalSpacing: 7, horizontalSpacing: 'sm', highlightOnHover: true } }),
    TagsInput: TagsInput.extend({ defaultProps: { size: 'sm' } }),
    Textarea: Textarea.extend({ defaultProps: { size: 'sm' } }),
    TextInput: TextInput.extend({ defaultProps: { size: 'sm' } }),
  },
});

/** Colours that Mantine's defaults leave below 4.5:1, and the page's own surfaces. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#5b6470',
    '--mantine-color-placeholder': '#6b7480',
    '--mantine-color-error': '#c22525',
    '--mantine-color-anchor': 'var(--mantine-color-blue-8)',
    '--kf-surface': '#ffffff',
    '--kf-canvas': '#f6f7f9',
    '--kf-line': '#dfe3e8',
  },
  dark: {
    '--mantine-color-dimmed': '#a3abb5',
    '--mantine-color-placeholder': '#8d96a1',
    '--mantine-color-error': '#ff9a9a',
    '--mantine-color-anchor': 'var(--mantine-color-blue-4)',
    '--mantine-color-body': 'var(--mantine-color-dark-8)',
    '--kf-surface': 'var(--mantine-color-dark-7)',
    '--kf-canvas': 'var(--mantine-color-dark-8)',
    '--kf-line': 'var(--mantine-color-dark-5)',
  },
});
