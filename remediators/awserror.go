package remediators

import (
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

// awsThrottles are the names by which AWS says that a call was not carried out and may come again later, whatever the
// status: mostly 400.
var awsThrottles = []string{
	"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded",
	"TooManyRequestsException", "SlowDown", "PriorRequestNotComplete", "TooManyUpdates", "ServiceUnavailable",
}

// awsRefusals are the names by which it says that the credential may not do this, or is none; JSON services say so with 400.
var awsRefusals = []string{
	"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationToken",
	"MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException", "InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException",
	"RequestExpired", "OptInRequired", "NotAuthorized",
}

// awsPause is how long to wait after a refusal for too many calls: AWS does not say it.
const awsPause = 2 * time.Second

// AWSCode returns the name of the error in an answer of AWS, JSON or XML; "" if it has none. It never holds a message.
func AWSCode(r Reply) string {
	if r.Status < 300 || r.BodyErr != nil {
		return ""
	}
	name := r.Header.Get("X-Amzn-Errortype")
	var doc struct {
		Type string `json:"__type"`
	}
	var tree struct {
		Code  string `xml:"Code"`
		Error struct {
			Code string `xml:"Code"`
		} `xml:"Error"`
		XMLName xml.Name
	}
	switch {
	case name != "":
	case json.Unmarshal(r.Body, &doc) == nil:
		name = doc.Type
	case xml.Unmarshal(r.Body, &tree) == nil && tree.Error.Code != "":
		name = tree.Error.Code
	case tree.XMLName.Local != "": // InvalidChangeBatch of Route 53 is a document of its own
		if name = tree.Code; name == "" {
			name = tree.XMLName.Local
		}
	}
	name = name[strings.LastIndex(name, "#")+1:]
	name, _, _ = strings.Cut(name, ":")
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return "" // no name of an error: not to be repeated
	}
	return name
}

// awsRefused is the error of a call that AWS did not carry out for the credential's sake; nil: another answer.
func awsRefused(r Reply) error {
	if name := AWSCode(r); r.Status < 500 && slices.Contains(awsRefusals, name) {
		return &ledger.CallError{Class: ledger.CallAuth, Status: r.Status, Detail: "the system refused our credential: " + name}
	}
	return nil
}

// ClassifyAWS is [Classify] for AWS, which says by a name what others say by a status.
func ClassifyAWS(r Reply) (ledger.Answer, error) {
	if err := awsRefused(r); err != nil {
		return ledger.Answer{}, err
	}
	ans, err := Classify(r)
	name := AWSCode(r)
	if err != nil || name == "" {
		return ans, err
	}
	ans.Detail += " " + name
	if slices.Contains(awsThrottles, name) {
		ans.Class, ans.RetryAfter = ledger.AnswerRetry, max(r.RetryAfter, awsPause)
	}
	return ans, nil
}

// UnusableAWS is [Unusable] for AWS.
func UnusableAWS(r Reply) error {
	if err := awsRefused(r); err != nil {
		return err
	}
	if name := AWSCode(r); name != "" {
		if slices.Contains(awsThrottles, name) {
			r.RetryAfter = max(r.RetryAfter, awsPause)
		}
		return Unusable(r, "the read answered "+name)
	}
	return Unusable(r, "")
}
