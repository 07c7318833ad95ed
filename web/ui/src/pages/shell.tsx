import { ActionIcon, AppShell, Burger, Group, Menu, NavLink, ScrollArea, Text } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useRouter, useRouterState } from '@tanstack/react-router';
import { useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../api/queries';
import { session } from '../api/resources';
import { Icon, type IconName } from '../components/icons';
import { Brand } from './brand';
import { LanguageMenu, SchemeMenu } from './preferences';

type Entry = {
  to: '/credentials' | '/attention' | '/keys' | '/workflows' | '/runs' | '/triggers';
  icon: IconName;
  key: 'credentials' | 'attention' | 'keys' | 'workflows' | 'runs' | 'triggers';
};

const automation: Entry[] = [
  { to: '/workflows', icon: 'workflow', key: 'workflows' },
  { to: '/runs', icon: 'runs', key: 'runs' },
  { to: '/triggers', icon: 'trigger', key: 'triggers' },
];
const productivity: Entry[] = [
  { to: '/credentials', icon: 'key', key: 'credentials' },
  { to: '/attention', icon: 'alert', key: 'attention' },
];
const system: Entry[] = [{ to: '/keys', icon: 'lock', key: 'keys' }];

/** The frame of every page behind sign-in: navigation, account, the page itself. */
export function Shell() {
  const { t } = useTranslation();
  const [opened, { toggle, close }] = useDisclosure(false);
  useGoShortcuts();
  return (
    <AppShell header={{ height: 48 }} navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }} padding="lg">
      <a className="kf-skip" href="#main" onClick={skipToMain}>
        {t('nav.skip')}
      </a>
      <AppShell.Header bg="var(--kf-surface)" px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t('nav.toggle')} />
            <Brand />
          </Group>
          <Group gap={4} wrap="nowrap">
            <LanguageMenu />
            <SchemeMenu />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar bg="var(--kf-surface)" p="xs" aria-label={t('nav.label')}>
        <ScrollArea>
          <NavGroup title={t('nav.automation')} entries={automation} onNavigate={close} />
          <NavGroup title={t('nav.admin')} subtitle={t('nav.productivity')} entries={productivity} onNavigate={close} />
          <NavGroup title={t('nav.system')} entries={system} onNavigate={close} />
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} style={{ outline: 'none' }}>
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

function skipToMain(event: { preventDefault: () => void }) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function NavGroup(props: { title: string; subtitle?: string; entries: Entry[]; onNavigate: () => void }) {
  const { t } = useTranslation();
  const path = useRouterState({ select: (state) => state.location.pathname });
  return (
    <div role="group" aria-label={props.subtitle ? `${props.title}: ${props.subtitle}` : props.title}>
      <Text size="xs" fw={600} c="dimmed" px="xs" pt="sm" pb={props.subtitle ? 0 : 4}>
        {props.title}
      </Text>
      {props.subtitle && (
        <Text size="xs" c="dimmed" px="xs" pb={4}>
          {props.subtitle}
        </Text>
      )}
      {props.entries.map((entry) => {
        const active = path === entry.to || path.startsWith(`${entry.to}/`);
        return (
          <NavLink
            key={entry.to}
            component={Link}
            to={entry.to}
            label={t(`nav.${entry.key}`)}
            leftSection={<Icon name={entry.icon} />}
            active={active}
            aria-current={active ? 'page' : undefined}
            onClick={props.onNavigate}
            style={{ borderRadius: 'var(--mantine-radius-sm)' }}
          />
        );
      })}
    </div>
  );
}

function AccountMenu() {
  const { t } = useTranslation();
  const router = useRouter();
  const client = useQueryClient();
  const { data } = useQuery(queries.session());
  const signOut = useMutation({
    mutationFn: session.signOut,
    onSettled: async () => {
      await router.navigate({ to: '/signin' });
      client.clear();
    },
  });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon aria-label={t('nav.account')}>
          <Icon name="user" size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {data && <Menu.Label>{t('nav.signedInAs', { name: data.username })}</Menu.Label>}
        <Menu.Item onClick={() => signOut.mutate()}>{t('nav.signOut')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

const goTo = { c: '/credentials', a: '/attention', w: '/workflows', r: '/runs', t: '/triggers' } as const;

// "g" followed within a second by a letter goes to a page; "/" goes to the search field.
function useGoShortcuts() {
  const router = useRouter();
  const pressed = useRef(0);
  useHotkeys([
    ['g', () => (pressed.current = Date.now())],
    ...(Object.entries(goTo).map(([key, to]) => [
      key,
      () => {
        if (Date.now() - pressed.current < 1000) void router.navigate({ to });
        pressed.current = 0;
      },
      { preventDefault: false },
    ]) as [string, () => void, { preventDefault: boolean }][]),
    ['/', () => document.querySelector<HTMLInputElement>('[data-search]')?.focus()],
  ]);
}
