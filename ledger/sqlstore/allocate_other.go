//go:build !linux

package sqlstore

import (
	"errors"
	"os"
)

// allocate makes the filesystem set blocks aside for f, or is [errors.ErrUnsupported].
func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

// giveTo sets blocks aside behind the end of a file, whose length stays, or is [errors.ErrUnsupported].
func giveTo(string, int64) error { return errors.ErrUnsupported }
