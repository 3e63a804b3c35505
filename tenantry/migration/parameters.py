"""The names of deployments and of their parameters, as messages mention them."""

PLAN, CONTINUE, FOLLOW_UP, FINISH, ROLL_BACK = (
    *("plan-migration", "continue-migration", "follow-up-migration"),
    *("finish-migration", "roll-back-migration"),
)

EXCLUDE_USERS = "exclude_users"
IDENTITIES_FILE = "identities_file"
MAX_WAVE_PERCENT = "max_wave_percent"
REIMPORT_USERS = "reimport_users"
REPLAN = "replan"
WAVE_PERCENT = "wave_percent"
