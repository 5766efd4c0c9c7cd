package remediators

// A hostCase is one way to write, or to lead to, a host.
type hostCase struct {
	host  string
	names map[string][][]string // what its name leads to, each time it is asked for
	may   []string              // addresses that may be dialled after all, without allow_private
	opens bool                  // allow_private opens it
}

func literal(hosts ...string) []hostCase {
	var out []hostCase
	for _, h := range hosts {
		out = append(out, hostCase{host: h})
	}
	return out
}

// private are hosts that allow_private opens.
func private(hosts ...string) []hostCase {
	out := literal(hosts...)
	for i := range out {
		out[i].opens = true
	}
	return out
}

// leads are hosts that a name server answers for: hosts that only a C library reads as an address are
// asked for as if one had read them.
func leads(host string, opens bool, lists ...[]string) hostCase {
	return hostCase{host: host, opens: opens, names: map[string][][]string{host: lists}}
}

// hostCases is the corpus of addresses: none may be dialled without allow_private but those in may.
func hostCases() []hostCase {
	var all []hostCase
	all = append(all, neverDialled()...)
	all = append(all, privateHosts()...)
	all = append(all, numberHosts()...)
	all = append(all, namedHosts()...)
	return append(all, brokenHosts()...)
}

func neverDialled() []hostCase {
	return literal(
		// metadata services and link-local, IPv4 and IPv6, every embedding
		"169.254.169.254", "169.254.169.254.", "169.254.170.2", "169.254.0.1", "169.254.255.255", "100.100.100.200", "[fd00:ec2::254]",
		"[FD00:EC2:0:0:0:0:0:254]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[febf::1]", "[fe80::1%25lo]", "[fe80::1%25eth0]",
		"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::169.254.169.254]", "[::ffff:0:169.254.169.254]",
		"[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:ffff::1]", "[2002:a9fe:a9fe::1]",
		// embedded loopback and private: hidden ones are not what allow_private means
		"[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::a00:1]",
		"[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:7f00:1::]", "[2001::1]", "[2001:1::1]", "[2001:20::1]",
		// unspecified, broadcast, multicast, reserved, documentation, benchmarks, discard
		"0.0.0.0", "0.0.0.1", "0.1.2.3", "[::]", "[0:0:0:0:0:0:0:0]", "255.255.255.255", "224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff05::2]",
		"[ff0e::1]", "240.0.0.1", "250.1.2.3", "192.0.0.1", "192.0.0.170", "192.0.2.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "198.18.0.1",
		"198.19.255.255", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[fec0::1]", "[feff::1]", "[4000::1]", "[5f00::1]", "[8000::1]", "[::2]",
	)
}

func privateHosts() []hostCase {
	return private(
		"127.0.0.1", "127.0.0.1.", "127.1.2.3", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "10.0.0.1", "10.255.255.255",
		"172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "100.64.0.1", "100.127.255.255", "[fc00::1]", "[fd12:3456::1]", "[fdff::1]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::1%2500]", // dialled as what they stand for
		"localhost", "LOCALHOST", "LocalHost.", "１２７.０.０.１", "⑫7.0.0.1", "ⅼocalhost", "127。0。0。1",
	)
}

// numberHosts are read as addresses by a C library, and by a name server that plays one.
func numberHosts() []hostCase {
	loop, meta := []string{"127.0.0.1"}, []string{"169.254.169.254"}
	return []hostCase{
		leads("2130706433", true, loop), leads("0x7f000001", true, loop), leads("0x7f.0.0.1", true, loop), leads("0x7f.1", true, loop),
		leads("0177.0.0.1", true, loop), leads("0177.1", true, loop), leads("017700000001", true, loop), leads("127.1", true, loop),
		leads("127.0.1", true, loop), leads("0x7f.0x0.0x0.0x1", true, loop), leads("0X7F000001", true, loop), leads("00000177.0.0.1", true, loop),
		leads("2852039166", false, meta), leads("0xa9fea9fe", false, meta), leads("0xa9.0xfe.0xa9.0xfe", false, meta), leads("0251.0376.0251.0376", false, meta),
		leads("169.254.43518", false, meta), leads("169.16689662", false, meta), leads("0xa9.254.0251.254", false, meta), leads("025177524776", false, meta),
		leads("0", false, []string{"0.0.0.0"}), leads("0x0", false, []string{"0.0.0.0"}), leads("4294967295", false, []string{"255.255.255.255"}),
	}
}

func namedHosts() []hostCase {
	const good, loop, meta = "8.8.8.8", "127.0.0.1", "169.254.169.254"
	list := func(s ...string) []string { return s }
	return []hostCase{
		// a name that says something else when it is dialled than when it was asked about at start
		{host: "rebind.example", names: map[string][][]string{"rebind.example": {list(good), list(loop)}}, opens: true},
		{host: "rebind6.example", names: map[string][][]string{"rebind6.example": {list("2606:4700::1111"), list("::1")}}, opens: true},
		{host: "rebind-meta.example", names: map[string][][]string{"rebind-meta.example": {list(good), list(meta)}}},
		{host: "rebind-thrice.example", names: map[string][][]string{"rebind-thrice.example": {list(good), list(meta), list(good)}}, may: []string{good}},
		{host: "rebind-late.example", names: map[string][][]string{"rebind-late.example": {list(good), list(good), list(loop)}}, may: []string{good}, opens: true},
		{host: "rebind-late-meta.example", names: map[string][][]string{"rebind-late-meta.example": {list(good), list(good), list(meta)}}, may: []string{good}},
		// several records, some of them denied
		{host: "mixed.example", names: map[string][][]string{"mixed.example": {list(loop, good)}}, may: []string{good}, opens: true},
		{host: "mixed-last.example", names: map[string][][]string{"mixed-last.example": {list(good, loop)}}, may: []string{good}, opens: true},
		{host: "mixed-meta.example", names: map[string][][]string{"mixed-meta.example": {list(meta, good)}}, may: []string{good}},
		{host: "mixed6.example", names: map[string][][]string{"mixed6.example": {list("fd00:ec2::254", good)}}, may: []string{good}},
		{host: "both-denied.example", names: map[string][][]string{"both-denied.example": {list(meta, "fe80::1")}}},
		// names that simply lead there
		leads("internal.example", true, list("10.0.0.5")), leads("internal6.example", true, list("fd12::5")), leads("localtest.me", true, list(loop)),
		leads("metadata.google.internal", false, list(meta)), leads("127.0.0.1.nip.io", true, list(loop)), leads("a9fea9fe.nip.io", false, list(meta)),
		leads("nat64.example", false, list("64:ff9b::a9fe:a9fe")), leads("sixtofour.example", false, list("2002:7f00:1::1")),
		leads("mapped.example", true, list("::ffff:127.0.0.1")), leads("cgnat.example", true, list("100.64.1.1")), leads("alibaba.example", false, list("100.100.100.200")),
		leads("zero.example", false, list("0.0.0.0")), leads("multicast.example", false, list("ff02::1")), leads("teredo.example", false, list("2001:0:7f00:1::")),
		leads("sub.localhost", true, list(loop)), leads("xn--fiqs8s.example", true, list(loop)), leads("UPPER.example", true, list(loop)),
	}
}

// brokenHosts are refused at start, or lead nowhere.
func brokenHosts() []hostCase {
	return literal(
		"user@127.0.0.1", "user:pass@127.0.0.1", "@127.0.0.1", "good.example@127.0.0.1", "127.0.0.1#@good.example", "127.0.0.1?@good.example",
		"127.0.0.1\\@good.example", "good.example%40127.0.0.1", "%31%32%37.0.0.1", "127.0.0.1%00.good.example", "127.0.0.1%0d%0aX: y", "127.0.0.1\r\nX: y",
		"127.0.0.1 good.example", "127.0.0.1\tgood.example", "[::1", "::1]", "[::1]good.example", "[127.0.0.1]", "127.0.0.1%25lo", "127..0.1", "1.2.3.4.5",
		"256.256.256.256", "0xfffffffff", "localhost%2f", "127.0.0.1%2f@good.example", "127.0.0.1:80@good.example", "", ".", "..", "-", "_", "*", "[v1.fe80::a+en1]",
	)
}
