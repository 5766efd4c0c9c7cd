package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxImage is the largest executable that is run, in bytes.
const maxImage = 256 << 20

// errOtherFile says that the file is not the one that the configuration names.
var errOtherFile = errors.New("the file is not the one that plugin.sha256 names")

// copyPinned writes the file at path to w while its hash is taken, and fails unless that is the pinned one. What
// happens to the file during or after it does not matter: only the copy is ever executed.
func copyPinned(w io.Writer, path, pin string) error {
	f, err := os.Open(path) //nolint:gosec // the path stands in the server's configuration
	if err != nil {
		return fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.New("the plugin is no regular file")
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(f, maxImage+1))
	switch {
	case err != nil:
		return fmt.Errorf("copy the plugin: %w", err)
	case n > maxImage:
		return errors.New("the plugin is larger than 256 MiB")
	case !strings.EqualFold(hex.EncodeToString(h.Sum(nil)), pin):
		return errOtherFile
	}
	return nil
}

// Hash returns the SHA-256 of a file as the configuration pins it.
func Hash(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the caller names the file
	if err != nil {
		return "", fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read the plugin: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
