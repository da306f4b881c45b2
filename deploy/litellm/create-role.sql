-- Makes the role with which vulcan_exporter reads LiteLLM's database: it may read the columns
-- below and nothing else. It can not read prompts, answers or e-mail addresses. Of the error
-- details in "LiteLLM_SpendLogs".metadata only class and code are ever selected.
--
--   psql --dbname=litellm --variable=role=vulcan_exporter --variable=schema=public \
--        --file=create-role.sql
--
-- as the owner of the tables or a superuser, once, and again after an upgrade of LiteLLM that
-- brought new columns: columns that this version does not have are passed over. With peer
-- authentication the role is called as the system's user is, --variable=role=vulcan-exporter, and
-- needs no password; else set one with \password vulcan_exporter.
\set ON_ERROR_STOP on
\if :{?role} \else \set role vulcan_exporter \endif
\if :{?schema} \else \set schema public \endif

BEGIN;
SELECT set_config('vulcan.role', :'role', true) AS role, set_config('vulcan.schema', :'schema', true) AS schema;

DO $$
DECLARE
	role   text := current_setting('vulcan.role');
	schema text := current_setting('vulcan.schema');
	wanted record;
	granted int := 0;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
		EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 3', role);
	END IF;
	EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', role);
	EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', role);
	EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', role, current_database(), schema);
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, role);
	FOR wanted IN
		SELECT w.tab, a.attname AS col
		  FROM (VALUES
			('LiteLLM_SpendLogs', ARRAY['request_id', 'startTime', 'endTime', 'completionStartTime',
				'request_duration_ms', 'spend', 'model', 'model_group', 'custom_llm_provider',
				'cache_hit', 'status', 'metadata']),
			('LiteLLM_DailyUserSpend', ARRAY['date', 'api_key', 'model', 'model_group',
				'custom_llm_provider', 'spend', 'prompt_tokens', 'completion_tokens',
				'cache_read_input_tokens', 'cache_creation_input_tokens',
				'successful_requests', 'failed_requests']),
			('LiteLLM_VerificationToken', ARRAY['token', 'key_name', 'key_alias', 'team_id', 'spend',
				'spend_at_last_reset', 'max_budget', 'budget_duration', 'budget_reset_at',
				'budget_id', 'expires', 'blocked']),
			('LiteLLM_DeletedVerificationToken', ARRAY['token', 'key_alias', 'team_id']),
			('LiteLLM_TeamTable', ARRAY['team_id', 'team_alias', 'spend', 'spend_at_last_reset',
				'max_budget', 'budget_duration', 'budget_reset_at', 'blocked']),
			('LiteLLM_UserTable', ARRAY['user_id', 'user_alias', 'spend', 'spend_at_last_reset',
				'max_budget', 'budget_duration', 'budget_reset_at']),
			('LiteLLM_BudgetTable', ARRAY['budget_id', 'max_budget', 'budget_duration', 'budget_reset_at']),
			('LiteLLM_HealthCheckTable', ARRAY['model_name', 'model_id', 'status', 'response_time_ms',
				'checked_at'])
		  ) AS w(tab, cols)
		  JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', schema, w.tab))
		  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY (w.cols)
		 WHERE a.attnum > 0 AND NOT a.attisdropped
	LOOP
		EXECUTE format('GRANT SELECT (%I) ON %I.%I TO %I', wanted.col, schema, wanted.tab, role);
		granted := granted + 1;
	END LOOP;
	IF granted = 0 THEN
		RAISE EXCEPTION 'schema % of database % has none of LiteLLM''s tables', schema, current_database();
	END IF;
	RAISE NOTICE '% columns granted to %', granted, role;
END
$$;
COMMIT;
