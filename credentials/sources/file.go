package sources

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// closedFolders hold what belongs to processes and devices, not secrets.
func closedFolders() []string { return []string{"/proc", "/sys", "/dev"} }

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func (s *Sources) checkPath(ref, path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) {
		return failed(nil, "%s must be a full path without . and .. parts, for example file:/run/secrets/crm", ref)
	}
	if err := s.checkPlace(ref, path); err != nil {
		return err
	}
	if s.folderOf(path) == "" {
		return s.narrowed(ref, File)
	}
	return nil
}

// checkPlace refuses what is never read, whatever is switched on.
func (s *Sources) checkPlace(ref, path string) error {
	if slices.ContainsFunc(closedFolders(), func(folder string) bool { return within(path, folder) }) {
		return failed(nil, "%s cannot be used: /proc, /sys and /dev hold no secrets of yours", ref)
	}
	dirs := []string{s.dataDir}
	if real, err := filepath.EvalSymlinks(s.dataDir); err == nil {
		dirs = append(dirs, real)
	}
	if token, set := s.getenv("VAULT_TOKEN_FILE"); set {
		dirs = append(dirs, token)
	}
	if slices.ContainsFunc(dirs, func(dir string) bool { return dir != "" && within(path, dir) }) {
		return failed(nil, "%s cannot be used: it is the server's own", ref)
	}
	return nil
}

// owns reports whether a file is one of the data folder under another name: a hard link.
func (s *Sources) owns(file fs.FileInfo) bool {
	entries, err := os.ReadDir(s.dataDir)
	if err != nil {
		return false // there is no such folder: the data are elsewhere
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		own, err := e.Info()
		return err == nil && os.SameFile(own, file)
	})
}

// folderOf is the folder that was switched on and holds path; "" is none.
func (s *Sources) folderOf(path string) string {
	for _, folder := range s.allow[File] {
		if folder == "" {
			folder = "/"
		}
		if within(path, folder) && path != folder {
			return folder
		}
	}
	return ""
}

// readFile reads the file as it is now. Links are followed as long as they stay in the folder
// that was switched on: os.Root sees to it for the file that is opened, not for a path that
// was checked before.
func (s *Sources) readFile(ref, path string) (string, error) {
	folder := s.folderOf(path)
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", unreadable(ref, err)
	}
	if err := s.checkPlace(ref, real); err != nil {
		return "", err
	}
	if at, err := filepath.EvalSymlinks(folder); err != nil || !within(real, at) {
		return "", failed(err, "%s is a link that leads out of %s", ref, folder)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", unreadable(ref, err)
	}
	defer func() { _ = root.Close() }()
	relative, err := filepath.Rel(folder, path)
	if err != nil {
		return "", unreadable(ref, err)
	}
	if folder == "/" { // links may hold full paths, which os.Root refuses
		relative = strings.TrimPrefix(real, "/")
	}
	if info, err := root.Stat(relative); err != nil {
		return "", unreadable(ref, err)
	} else if !info.Mode().IsRegular() {
		return "", failed(nil, "%s is no file", ref)
	} else if s.owns(info) {
		return "", failed(nil, "%s cannot be used: it is the server's own", ref)
	}
	f, err := root.Open(relative)
	if err != nil {
		return "", unreadable(ref, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+3)) // more than 64 KiB is seen by the caller
	if err != nil {
		return "", unreadable(ref, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

func unreadable(ref string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed(err, "%s does not exist on the server", ref)
	case errors.Is(err, fs.ErrPermission):
		return failed(err, "%s may not be read by the server: check owner and mode of the file", ref)
	default:
		return failed(err, "%s cannot be read", ref)
	}
}
