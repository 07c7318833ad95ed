// Words for presets. The server has the English ones; other languages are laid over them.
import { useTranslation } from 'react-i18next';
import type { Blank, Preset } from '../api/types';
import { currentLanguage } from './index';
import { koBlanks, koPresets } from './presets.ko';

/** What a preset is for, and its blanks, in the language of the page. */
export function usePresetText() {
  useTranslation(); // renders again when the language changes
  return (preset: Preset) => {
    const korean = currentLanguage() === 'ko';
    const words = korean ? koPresets[preset.id] : undefined;
    return {
      summary: words?.summary ?? preset.summary,
      note: words?.note ?? preset.note,
      blank: (blank: Blank) => (korean ? koBlanks[`${preset.id}.${blank.name}`] : undefined) ?? blank,
    };
  };
}
