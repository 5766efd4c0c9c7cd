package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A disk is a folder on a disk that can lose power: a filesystem in memory (FUSE) that remembers, beside what was written, what
// would still be there after a power cut. Of a file that is what was there at its last fsync, of the folder the names
// at its own last fsync. It behaves as Linux does when an fsync fails: what could not be written is clean from then on, so
// that a second fsync says nothing of it.
type disk struct {
	mu    sync.Mutex
	names map[string]*content // as programs see them
	kept  map[string]*content // as they are after a power cut
	steps int                 // writes and fsyncs so far
	// stepFunc is called before every write and fsync, under mu; an error is what the program gets. nil: nothing.
	stepFunc func(s step) syscall.Errno
}

// A step is one write or fsync of a file, or the fsync of the folder (with no name).
type step struct {
	n    int // from 1
	sync bool
	name string
}

// page is the unit in which unsynced writes survive a power cut or do not, in bytes.
const page = 4096

// A content is a file.
type content struct {
	mode   uint32
	now    []byte // as programs see it
	synced []byte // as it is after a power cut
	dirty  map[int]bool
	resize bool // its length is not synced
}

func newDisk() *disk { return &disk{names: map[string]*content{}, kept: map[string]*content{}} }

// cut returns the disk as it is after a power cut. coinFunc says of everything that was not synced (a page, a length,
// a name) whether it survives all the same: a disk may write what it likes before it is told to. nil: nothing survives.
func (d *disk) cut(coinFunc func() bool) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if coinFunc == nil {
		coinFunc = func() bool { return false }
	}
	after := newDisk()
	for name, c := range d.kept {
		if d.names[name] != c && coinFunc() {
			c = d.names[name] // a removal, or a replacement, reached the disk
		}
		if c != nil {
			after.names[name] = c.cut(coinFunc)
		}
	}
	for name, c := range d.names {
		if d.kept[name] == nil && coinFunc() {
			after.names[name] = c.cut(coinFunc)
		}
	}
	after.kept = maps.Clone(after.names)
	return after
}

func (c *content) cut(coinFunc func() bool) *content {
	out := &content{mode: c.mode, now: append([]byte(nil), c.synced...), dirty: map[int]bool{}}
	if c.resize && coinFunc() {
		out.now = resized(out.now, len(c.now))
	}
	for p := range c.dirty {
		if coinFunc() {
			out.now = copyPage(out.now, c.now, p)
		}
	}
	out.synced = append([]byte(nil), out.now...)
	return out
}

// copyPage puts page p of src into dst, which grows if it must.
func copyPage(dst, src []byte, p int) []byte {
	from, to := p*page, min((p+1)*page, len(src))
	if from >= to {
		return dst
	}
	if to > len(dst) {
		dst = resized(dst, to)
	}
	copy(dst[from:to], src[from:to])
	return dst
}

func resized(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

// step counts a write or fsync and returns what becomes of it.
func (d *disk) step(sync bool, name string) syscall.Errno {
	d.steps++
	if d.stepFunc == nil {
		return 0
	}
	return d.stepFunc(step{d.steps, sync, name})
}

// onStep makes fn decide what becomes of every step from now on, and begins to count anew.
func (d *disk) onStep(fn func(s step) syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps, d.stepFunc = 0, fn
}

// mount puts the disk at dir until unmount is called.
func (d *disk) mount(t *testing.T, dir string) (unmount func()) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Fatalf("this test needs /dev/fuse (modprobe fuse; in a container --device /dev/fuse): %v", err)
	}
	srv, err := fs.Mount(dir, &folder{d: d}, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "powercut"}})
	if err != nil {
		t.Fatalf("this test needs to be root, or fusermount3 of the package fuse3, to mount a filesystem: %v", err)
	}
	return func() {
		t.Helper()
		err := srv.Unmount()
		for limit := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(limit); err = srv.Unmount() {
			time.Sleep(20 * time.Millisecond) // the kernel closes what a killed server had open in its own time
		}
		if err != nil {
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
			t.Errorf("unmount: %v", err)
		}
	}
}

// A folder is the disk's one folder.
type folder struct {
	fs.Inode
	d *disk
}

var (
	_ fs.NodeOnAdder   = (*folder)(nil)
	_ fs.NodeCreater   = (*folder)(nil)
	_ fs.NodeUnlinker  = (*folder)(nil)
	_ fs.NodeRenamer   = (*folder)(nil)
	_ fs.NodeFsyncer   = (*folder)(nil)
	_ fs.NodeOpener    = (*file)(nil)
	_ fs.NodeReader    = (*file)(nil)
	_ fs.NodeWriter    = (*file)(nil)
	_ fs.NodeFsyncer   = (*file)(nil)
	_ fs.NodeFlusher   = (*file)(nil)
	_ fs.NodeGetattrer = (*file)(nil)
	_ fs.NodeSetattrer = (*file)(nil)
)

// OnAdd implements [fs.NodeOnAdder].
func (f *folder) OnAdd(ctx context.Context) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	for name, c := range f.d.names {
		f.AddChild(name, f.child(ctx, name, c), true)
	}
}

func (f *folder) child(ctx context.Context, name string, c *content) *fs.Inode {
	return f.NewPersistentInode(ctx, &file{d: f.d, c: c, name: name}, fs.StableAttr{Mode: syscall.S_IFREG})
}

// Create implements [fs.NodeCreater].
func (f *folder) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	c := &content{mode: mode & 0o777, dirty: map[int]bool{}}
	f.d.names[name] = c
	c.attr(&out.Attr)
	return f.child(ctx, name, c), nil, 0, 0
}

// Unlink implements [fs.NodeUnlinker].
func (f *folder) Unlink(_ context.Context, name string) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.names, name)
	return 0
}

// Rename implements [fs.NodeRenamer].
func (f *folder) Rename(_ context.Context, name string, _ fs.InodeEmbedder, to string, _ uint32) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.names[to] = f.d.names[name]
	delete(f.d.names, name)
	return 0
}

// Fsync implements [fs.NodeFsyncer].
func (f *folder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if errno := f.d.step(true, ""); errno != 0 {
		return errno
	}
	f.d.kept = maps.Clone(f.d.names)
	return 0
}

// A file is a file as programs see it.
type file struct {
	fs.Inode
	d    *disk
	c    *content
	name string // as it was created
}

func (c *content) attr(out *fuse.Attr) {
	out.Mode, out.Size, out.Blocks = syscall.S_IFREG|c.mode, uint64(len(c.now)), uint64(len(c.now)+511)/512
	out.Uid, out.Gid = uint32(os.Getuid()), uint32(os.Getgid())
}

// Open implements [fs.NodeOpener].
func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { return nil, 0, 0 }

// Flush implements [fs.NodeFlusher]: closing a file syncs nothing.
func (f *file) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Getattr implements [fs.NodeGetattrer].
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.c.attr(&out.Attr)
	return 0
}

// Setattr implements [fs.NodeSetattrer]: lengths and modes.
func (f *file) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if n, ok := in.GetSize(); ok {
		f.c.now, f.c.resize = resized(f.c.now, int(n)), true
	}
	if mode, ok := in.GetMode(); ok {
		f.c.mode = mode & 0o777
	}
	f.c.attr(&out.Attr)
	return 0
}

// Read implements [fs.NodeReader].
func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := 0
	if off < int64(len(f.c.now)) {
		n = copy(dest, f.c.now[off:])
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write implements [fs.NodeWriter].
func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if errno := f.d.step(false, f.name); errno != 0 {
		return 0, errno
	}
	end := int(off) + len(data)
	if end > len(f.c.now) {
		f.c.now, f.c.resize = resized(f.c.now, end), true
	}
	copy(f.c.now[off:], data)
	for p := int(off) / page; p*page < end; p++ {
		f.c.dirty[p] = true
	}
	return uint32(len(data)), 0
}

// Fsync implements [fs.NodeFsyncer].
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if errno := f.d.step(true, f.name); errno != 0 {
		clear(f.c.dirty)
		return errno
	}
	f.c.synced = resized(f.c.synced, len(f.c.now))
	for p := range f.c.dirty {
		f.c.synced = copyPage(f.c.synced, f.c.now, p)
	}
	clear(f.c.dirty)
	f.c.resize = false
	return 0
}

// coin returns a coin that falls as seed says.
func coin(seed uint64) func() bool {
	rnd := rand.New(rand.NewPCG(seed, 20261127))
	return func() bool { return rnd.IntN(2) == 0 }
}
