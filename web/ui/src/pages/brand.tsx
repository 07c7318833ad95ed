import { Group, Text } from '@mantine/core';

export function Brand({ size = 24 }: { size?: number }) {
  return (
    <Group gap={8} wrap="nowrap">
      <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#1f5fbf" />
        <circle cx="11" cy="16" r="5" fill="none" stroke="#fff" strokeWidth="3" />
        <path d="M16 16h11m-4 0v5" fill="none" stroke="#fff" strokeWidth="3" strokeLinecap="round" />
      </svg>
      <Text span fw={650} fz={size * 0.66} lh={1}>
        Keyflow
      </Text>
    </Group>
  );
}
