-- LiteLLM's tables of late 2024: no daily table, no status, no model group, no health checks, and
-- columns that later lost their NOT NULL.
CREATE TABLE "LiteLLM_SpendLogs" (
	"request_id" TEXT NOT NULL PRIMARY KEY,
	"call_type" TEXT NOT NULL,
	"api_key" TEXT NOT NULL DEFAULT '',
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"total_tokens" INTEGER NOT NULL DEFAULT 0,
	"prompt_tokens" INTEGER NOT NULL DEFAULT 0,
	"completion_tokens" INTEGER NOT NULL DEFAULT 0,
	"startTime" TIMESTAMP(3) NOT NULL,
	"endTime" TIMESTAMP(3) NOT NULL,
	"model" TEXT NOT NULL DEFAULT '',
	"api_base" TEXT NOT NULL DEFAULT '',
	"user" TEXT NOT NULL DEFAULT '',
	"metadata" JSONB NOT NULL DEFAULT '{}',
	"cache_hit" TEXT NOT NULL DEFAULT '',
	"cache_key" TEXT NOT NULL DEFAULT '',
	"request_tags" JSONB NOT NULL DEFAULT '[]',
	"team_id" TEXT,
	"end_user" TEXT
);
CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime");
CREATE TABLE "LiteLLM_VerificationToken" (
	"token" TEXT NOT NULL PRIMARY KEY,
	"key_name" TEXT,
	"key_alias" TEXT,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"expires" TIMESTAMP(3),
	"user_id" TEXT,
	"team_id" TEXT,
	"max_budget" DOUBLE PRECISION,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3)
);
CREATE TABLE "LiteLLM_TeamTable" (
	"team_id" TEXT NOT NULL PRIMARY KEY,
	"team_alias" TEXT,
	"max_budget" DOUBLE PRECISION,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3),
	"blocked" BOOLEAN NOT NULL DEFAULT false
);
CREATE TABLE "LiteLLM_UserTable" (
	"user_id" TEXT NOT NULL PRIMARY KEY,
	"user_email" TEXT,
	"max_budget" DOUBLE PRECISION,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3)
);
