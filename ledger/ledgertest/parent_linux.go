package ledgertest

import "syscall"

// EndWithParent makes a program get sig when the process that started it ends, however that ends. Elsewhere than on
// Linux it changes nothing.
func EndWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
