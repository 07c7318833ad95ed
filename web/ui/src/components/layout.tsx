import { Anchor, Box, Breadcrumbs, Button, Group, Stack, Text, Title } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import { useId, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

/** The head of a page: where it is, its name, what can be done. */
export function PageHead(props: { trail?: ReactNode[]; title: ReactNode; name: string; actions?: ReactNode; below?: ReactNode }) {
  useDocumentTitle(`${props.name} · Keyflow`);
  return (
    <Stack gap={6} mb="md">
      {props.trail && (
        <Breadcrumbs fz="xs" c="dimmed" separatorMargin={6}>
          {props.trail}
        </Breadcrumbs>
      )}
      <Group justify="space-between" align="flex-start" wrap="wrap" gap="sm">
        <Title order={1} style={{ overflowWrap: 'anywhere' }}>
          {props.title}
        </Title>
        {props.actions && <Group gap="xs">{props.actions}</Group>}
      </Group>
      {props.below}
    </Stack>
  );
}

/** A titled card. */
export function Section(props: { title: string; help?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <Box component="section" className="kf-card" p="md" aria-label={props.title}>
      <Group justify="space-between" mb="sm" gap="xs">
        <Title order={2}>{props.title}</Title>
        {props.actions}
      </Group>
      {props.help && (
        <Text size="xs" c="dimmed" mt={-6} mb="sm">
          {props.help}
        </Text>
      )}
      {props.children}
    </Box>
  );
}

/** A titled part of a form within a card. */
export function Part({ title, children }: { title: string; children: ReactNode }) {
  const id = useId();
  return (
    <Stack gap="xs" role="group" aria-labelledby={id}>
      <Title order={3} id={id}>
        {title}
      </Title>
      {children}
    </Stack>
  );
}

/** Names and values, one pair per line. */
export function Facts({ items }: { items: [string, ReactNode][] }) {
  return (
    <dl className="kf-facts">
      {items.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name} value`}>{value}</dd>])}
    </dl>
  );
}

/** The button that gets the next page of a list; nothing when there is none. */
export function LoadMore(props: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown }) {
  const { t } = useTranslation();
  if (!props.hasNextPage) return null;
  return (
    <Group justify="center" p="sm">
      <Button variant="default" loading={props.isFetchingNextPage} onClick={() => void props.fetchNextPage()}>
        {t('common.loadMore')}
      </Button>
    </Group>
  );
}

/** A link out of the page, in a new tab. */
export function OutLink({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Anchor href={href} target="_blank" rel="noreferrer" size="sm">
      {children}
    </Anchor>
  );
}
