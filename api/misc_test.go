package api

import (
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

type (
	echoContext      = echo.Context
	responseRecorder = httptest.ResponseRecorder
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func mustID(t *testing.T, s string) uuid.UUID {
	t.Helper()
	id, err := uuid.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
