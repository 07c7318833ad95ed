import { Box, Center, Group, Stack, Text, Title } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import type { ReactNode } from 'react';
import { LanguageMenu, SchemeMenu } from '../preferences';
import { Brand } from '../brand';

/** The page around the forms that come before anyone is signed in. */
export function SessionFrame({ title, text, children }: { title: string; text?: ReactNode; children: ReactNode }) {
  useDocumentTitle(`${title} · Keyflow`);
  return (
    <Box mih="100vh">
      <Group justify="flex-end" gap={4} p="xs" component="header">
        <LanguageMenu />
        <SchemeMenu />
      </Group>
      <Center component="main" px="md" pt="8vh">
        <Stack w={380} gap="lg">
          <Brand size={32} />
          <Box className="kf-card" p="lg">
            <Stack gap="md">
              <div>
                <Title order={1}>{title}</Title>
                {text && (
                  <Text size="sm" c="dimmed" mt={4}>
                    {text}
                  </Text>
                )}
              </div>
              {children}
            </Stack>
          </Box>
        </Stack>
      </Center>
    </Box>
  );
}
