-- LiteLLM's tables as its migrations leave them in PostgreSQL, late 2026: what the collector
-- reads, and beside it the columns that it must never read.
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
	"request_duration_ms" INTEGER,
	"completionStartTime" TIMESTAMP(3),
	"model" TEXT NOT NULL DEFAULT '',
	"model_id" TEXT DEFAULT '',
	"model_group" TEXT DEFAULT '',
	"custom_llm_provider" TEXT DEFAULT '',
	"api_base" TEXT DEFAULT '',
	"user" TEXT DEFAULT '',
	"metadata" JSONB DEFAULT '{}',
	"cache_hit" TEXT DEFAULT '',
	"cache_key" TEXT DEFAULT '',
	"request_tags" JSONB DEFAULT '[]',
	"team_id" TEXT,
	"organization_id" TEXT,
	"end_user" TEXT,
	"requester_ip_address" TEXT,
	"messages" JSONB DEFAULT '{}',
	"response" JSONB DEFAULT '{}',
	"session_id" TEXT,
	"status" TEXT,
	"mcp_namespaced_tool_name" TEXT,
	"agent_id" TEXT,
	"proxy_server_request" JSONB DEFAULT '{}'
);
CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime");
CREATE INDEX "LiteLLM_SpendLogs_startTime_request_id_idx" ON "LiteLLM_SpendLogs" ("startTime", "request_id");
CREATE INDEX "LiteLLM_SpendLogs_end_user_idx" ON "LiteLLM_SpendLogs" ("end_user");
CREATE INDEX "LiteLLM_SpendLogs_session_id_idx" ON "LiteLLM_SpendLogs" ("session_id");

CREATE TABLE "LiteLLM_DailyUserSpend" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"user_id" TEXT,
	"date" TEXT NOT NULL,
	"api_key" TEXT NOT NULL,
	"model" TEXT,
	"model_group" TEXT,
	"custom_llm_provider" TEXT,
	"mcp_namespaced_tool_name" TEXT,
	"endpoint" TEXT,
	"prompt_tokens" BIGINT NOT NULL DEFAULT 0,
	"completion_tokens" BIGINT NOT NULL DEFAULT 0,
	"cache_read_input_tokens" BIGINT NOT NULL DEFAULT 0,
	"cache_creation_input_tokens" BIGINT NOT NULL DEFAULT 0,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"api_requests" BIGINT NOT NULL DEFAULT 0,
	"successful_requests" BIGINT NOT NULL DEFAULT 0,
	"failed_requests" BIGINT NOT NULL DEFAULT 0,
	"created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
	"updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE UNIQUE INDEX "LiteLLM_DailyUserSpend_key" ON "LiteLLM_DailyUserSpend"
	("user_id", "date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint");
CREATE INDEX "LiteLLM_DailyUserSpend_date_idx" ON "LiteLLM_DailyUserSpend" ("date");
CREATE INDEX "LiteLLM_DailyUserSpend_user_id_date_idx" ON "LiteLLM_DailyUserSpend" ("user_id", "date");
CREATE INDEX "LiteLLM_DailyUserSpend_api_key_idx" ON "LiteLLM_DailyUserSpend" ("api_key");
CREATE INDEX "LiteLLM_DailyUserSpend_model_idx" ON "LiteLLM_DailyUserSpend" ("model");

CREATE TABLE "LiteLLM_VerificationToken" (
	"token" TEXT NOT NULL PRIMARY KEY,
	"key_name" TEXT,
	"key_alias" TEXT,
	"soft_budget_cooldown" BOOLEAN NOT NULL DEFAULT false,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"expires" TIMESTAMP(3),
	"models" TEXT[],
	"aliases" JSONB NOT NULL DEFAULT '{}',
	"config" JSONB NOT NULL DEFAULT '{}',
	"user_id" TEXT,
	"team_id" TEXT,
	"max_parallel_requests" INTEGER,
	"metadata" JSONB NOT NULL DEFAULT '{}',
	"blocked" BOOLEAN,
	"tpm_limit" BIGINT,
	"rpm_limit" BIGINT,
	"max_budget" DOUBLE PRECISION,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3),
	"budget_id" TEXT,
	"organization_id" TEXT,
	"created_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
	"updated_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "LiteLLM_DeletedVerificationToken" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"token" TEXT NOT NULL,
	"key_alias" TEXT,
	"team_id" TEXT
);
CREATE TABLE "LiteLLM_BudgetTable" (
	"budget_id" TEXT NOT NULL PRIMARY KEY,
	"max_budget" DOUBLE PRECISION,
	"soft_budget" DOUBLE PRECISION,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3)
);
CREATE TABLE "LiteLLM_TeamTable" (
	"team_id" TEXT NOT NULL PRIMARY KEY,
	"team_alias" TEXT,
	"organization_id" TEXT,
	"max_budget" DOUBLE PRECISION,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3),
	"blocked" BOOLEAN NOT NULL DEFAULT false,
	"members" TEXT[]
);
CREATE TABLE "LiteLLM_UserTable" (
	"user_id" TEXT NOT NULL PRIMARY KEY,
	"user_alias" TEXT,
	"user_email" TEXT,
	"max_budget" DOUBLE PRECISION,
	"spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
	"budget_duration" TEXT,
	"budget_reset_at" TIMESTAMP(3)
);
CREATE TABLE "LiteLLM_HealthCheckTable" (
	"health_check_id" TEXT NOT NULL PRIMARY KEY,
	"model_name" TEXT NOT NULL,
	"model_id" TEXT,
	"status" TEXT NOT NULL,
	"healthy_count" INTEGER NOT NULL DEFAULT 0,
	"unhealthy_count" INTEGER NOT NULL DEFAULT 0,
	"error_message" TEXT,
	"response_time_ms" DOUBLE PRECISION,
	"checked_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "LiteLLM_HealthCheckTable_model_idx" ON "LiteLLM_HealthCheckTable" ("model_id", "model_name", "checked_at" DESC);
