package main

import "strings"

// A curlFate says what becomes of an option of curl where a call goes through the ledger.
type curlFate int

const (
	curlUnknown curlFate = iota // curl may know it
	curlRefuses                 // it cannot be carried
	curlCarries                 // it is carried
	curlIgnores                 // it is about curl's own connection or its talk, which there is none of
	curlAlone                   // curl makes no call with it
)

// A curlOption is one option of curl.
type curlOption struct {
	name  string // long
	short byte   // 0: none
	value bool   // it has an argument
	fate  curlFate
}

// The options by what becomes of them, as long names with their short ones; those with an argument end in '='. What is
// neither carried nor ignored is refused: it would change what is sent, to whom, or what is written, in a way that a
// call through the ledger does not follow. Options of curl 7.88 to 8.17.
const (
	curlCarried = `request,X= data,d= data-ascii= data-raw= data-binary= data-urlencode= json= header,H= url= upload-file,T= get,G
		head,I output,o= remote-name,O output-dir= create-dirs dump-header,D= include,i write-out,w= fail,f fail-with-body silent,s
		show-error,S location,L location-trusted max-time,m= globoff,g path-as-is user,u= oauth2-bearer= disable,q verbose,v
		remote-time,R progress-bar,#`
	curlIgnored = `insecure,k cacert= capath= cert,E= cert-type= key= key-type= pass= pinnedpubkey= crlfile= ciphers= tls13-ciphers=
		curves= tls-max= tlsv1,1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 ssl-no-revoke cert-status http1.0,0 http1.1 http2 http2-prior-knowledge
		http3 http3-only http0.9 ipv4,4 ipv6,6 connect-timeout= retry= retry-delay= retry-max-time= retry-connrefused retry-all-errors
		compressed no-buffer,N no-keepalive keepalive-time= tcp-nodelay tcp-fastopen user-agent,A= basic anyauth digest
		styled-output no-progress-meter max-redirs= post301 post302 post303 expect100-timeout= limit-rate= speed-limit,Y=
		speed-time,y= alpn no-alpn ca-native keepalive-cnt= sessionid no-sessionid happy-eyeballs-timeout-ms= fail-early`
	curlNoCall   = `help,h= manual,M version,V`
	curlRefusals = `abstract-unix-socket= alt-svc= append,a aws-sigv4= compressed-ssh config,K= connect-to= continue-at,C= cookie,b=
		cookie-jar,c= create-file-mode= crlf delegation= disable-eprt disable-epsv disallow-username-in-url dns-interface=
		dns-ipv4-addr= dns-ipv6-addr= dns-servers= doh-cert-status doh-insecure doh-url= egd-file= engine= etag-compare= etag-save=
		false-start form,F= form-escape form-string= ftp-account= ftp-alternative-to-user= ftp-create-dirs ftp-method= ftp-pasv
		ftp-port,P= ftp-pret ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-ccc-mode= ftp-ssl-control haproxy-protocol haproxy-clientip=
		hostpubmd5= hostpubsha256= hsts= ignore-content-length interface= junk-session-cookies,j krb= libcurl= list-only,l
		local-port= login-options= mail-auth= mail-from= mail-rcpt= mail-rcpt-allowfails max-filesize= metalink negotiate netrc,n
		netrc-file= netrc-optional next,: no-clobber no-npn noproxy= ntlm ntlm-wb parallel,Z parallel-immediate
		parallel-max= preproxy= proto= proto-default= proto-redir= proxy,x= proxy-anyauth proxy-basic proxy-cacert= proxy-capath=
		proxy-cert= proxy-cert-type= proxy-ciphers= proxy-crlfile= proxy-digest proxy-header= proxy-insecure proxy-key=
		proxy-key-type= proxy-negotiate proxy-ntlm proxy-pass= proxy-pinnedpubkey= proxy-service-name= proxy-ssl-allow-beast
		proxy-ssl-auto-client-cert proxy-tls13-ciphers= proxy-tlsauthtype= proxy-tlspassword= proxy-tlsuser= proxy-tlsv1
		proxy-user,U= proxy1.0= proxytunnel,p pubkey= quote,Q= random-file= range,r= rate= raw referer,e= remote-header-name,J
		remote-name-all remove-on-error request-target= resolve= sasl-authzid= sasl-ir service-name= socks4= socks4a= socks5=
		socks5-basic socks5-gssapi socks5-gssapi-nec socks5-gssapi-service= socks5-hostname= ssl ssl-allow-beast
		ssl-auto-client-cert ssl-reqd ssl-revoke-best-effort sslv2,2 sslv3,3 stderr= suppress-connect-headers telnet-option,t=
		tftp-blksize= tftp-no-options time-cond,z= tlsauthtype= tlspassword= tlsuser= tr-encoding trace= trace-ascii= trace-time
		unix-socket= url-query= use-ascii,B xattr dump-ca-embed ech= follow ip-tos= ipfs-gateway= mptcp out-null parallel-max-host=
		proxy-ca-native proxy-http2 proxy-http3 sigalgs= signature-algorithms= skip-existing tls-earlydata trace-config= trace-ids upload-flags=
		variable= vlan-priority= knownhosts=`
)

// A curlTable finds options by name.
type curlTable struct {
	long  map[string]*curlOption
	short map[byte]*curlOption
}

func newCurlTable() *curlTable {
	t := &curlTable{long: map[string]*curlOption{}, short: map[byte]*curlOption{}}
	for fate, text := range map[curlFate]string{
		curlCarries: curlCarried, curlIgnores: curlIgnored, curlAlone: curlNoCall, curlRefuses: curlRefusals,
	} {
		for _, word := range strings.Fields(text) {
			word, value := strings.CutSuffix(word, "=")
			name, short, _ := strings.Cut(word, ",")
			o := &curlOption{name: name, value: value, fate: fate}
			t.long[name] = o
			if short != "" {
				o.short = short[0]
				t.short[o.short] = o
			}
		}
	}
	return t
}

// find returns a long option; off: it is switched off (--no-NAME). Curl takes a beginning that fits one option alone.
func (t *curlTable) find(name string) (o *curlOption, off bool) {
	if o := t.long[name]; o != nil {
		return o, false
	}
	if rest, no := strings.CutPrefix(name, "no-"); no && t.long[rest] != nil && !t.long[rest].value {
		return t.long[rest], true
	}
	if strings.HasPrefix(name, "expand-") { // --expand-data and the like, of curl 8.3
		return &curlOption{name: name, value: true, fate: curlRefuses}, false
	}
	var fits []*curlOption
	for long, o := range t.long {
		if strings.HasPrefix(long, name) {
			fits = append(fits, o)
		}
	}
	if len(fits) != 1 {
		return nil, false
	}
	return fits[0], false
}
