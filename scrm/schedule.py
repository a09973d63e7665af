"""What beat starts and which queue each task runs on: one table each."""

from celery.schedules import crontab

# Periodic entries are cross-brand: each lists the active brands and starts one task per brand.
BEAT_SCHEDULE = {
    "sop-tick": {"task": "campaigns.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "broadcasts-finish": {
        "task": "campaigns.tasks.finish_broadcasts",
        "schedule": crontab(minute="*/2"),
        "options": {"expires": 110},
    },
    "touch-marks": {"task": "campaigns.tasks.mark_all", "schedule": 15.0, "options": {"expires": 14}},
    "staff-tasks": {
        "task": "campaigns.tasks.staff_tasks_tick",
        "schedule": crontab(minute="*/2"),
        "options": {"expires": 110},
    },
    "alerts": {"task": "campaigns.tasks.alert_all", "schedule": 10.0, "options": {"expires": 9}},
    "alerts-purge": {"task": "campaigns.tasks.purge_all_alerts", "schedule": crontab(hour="18", minute="50")},
    "values": {"task": "tagging.tasks.recompute_all_values", "schedule": crontab(hour="19", minute="25")},
    "value-tick": {"task": "tagging.tasks.value_tick", "schedule": 15.0, "options": {"expires": 14}},
    "touch-planes": {"task": "campaigns.tasks.rebuild_planes", "schedule": crontab(hour="19", minute="5")},
    "inbox-sweep": {"task": "wecom.tasks.sweep_inbox", "schedule": 10.0, "options": {"expires": 9}},
    "outbound-sweep": {"task": "wecom.tasks.sweep_outbound", "schedule": 15.0, "options": {"expires": 14}},
    "calls-flush": {"task": "wecom.tasks.flush_calls", "schedule": 5.0, "options": {"expires": 4}},
    "calls-purge": {"task": "wecom.tasks.purge_all_calls", "schedule": crontab(hour="18", minute="35")},
    "edge-purge": {"task": "wecom.tasks.purge_all_edges", "schedule": crontab(hour="18", minute="45")},
    "links-read": {"task": "content.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "leads": {"task": "guides.tasks.tick", "schedule": crontab(minute="7"), "options": {"expires": 3000}},
    "codes-tick": {"task": "livecodes.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "handover-tick": {"task": "handover.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "leavers": {"task": "handover.tasks.nightly", "schedule": crontab(hour="19", minute="20")},
    "tags-tick": {"task": "tagging.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "sops-react": {"task": "campaigns.tasks.react_all", "schedule": 20.0, "options": {"expires": 19}},
    "tags-react": {"task": "tagging.tasks.react_all", "schedule": 10.0, "options": {"expires": 9}},
    "tags-tidy": {"task": "tagging.tasks.tidy_all", "schedule": crontab(hour="19", minute="15")},
    "staff-stats": {"task": "wecom.tasks.nightly_stats", "schedule": crontab(hour="1", minute="20")},
    "links": {"task": "livecodes.tasks.nightly_links", "schedule": crontab(hour="1", minute="40")},
    "groups-link": {"task": "groups.tasks.tick", "schedule": 30.0, "options": {"expires": 29}},
    "jobs-sweep": {"task": "org.tasks.sweep_jobs", "schedule": 30.0, "options": {"expires": 29}},
    "preset-roles": {
        "task": "org.tasks.keep_all_preset_roles",
        "schedule": crontab(minute="*/10"),
        "options": {"expires": 590},
    },
    "drift-tick": {
        "task": "drift.tasks.tick",
        "schedule": crontab(minute="*/5"),
        "options": {"expires": 240},
    },
    "rollups": {"task": "insights.tasks.tick", "schedule": 15.0, "options": {"expires": 14}},
    "health": {"task": "insights.tasks.health_tick", "schedule": crontab(), "options": {"expires": 55}},
    "orders-waiting": {
        "task": "commerce.tasks.attach_all_waiting",
        "schedule": crontab(hour="18", minute="55"),
    },
    "reminders": {"task": "contacts.tasks.tick", "schedule": crontab(), "options": {"expires": 55}},
    "behaviour-purge": {
        "task": "contacts.tasks.purge_all_waiting",
        "schedule": crontab(hour="19", minute="5"),
    },
    "ownerless": {"task": "contacts.tasks.check_all_ownerless", "schedule": crontab(hour="18", minute="40")},
    "segments": {"task": "tagging.tasks.nightly_snapshots", "schedule": crontab(hour="16", minute="20")},
    "bits-check": {"task": "tagging.tasks.nightly_check", "schedule": crontab(hour="19", minute="20")},
    "files-purge": {"task": "datafiles.tasks.purge_all_files", "schedule": crontab(hour="19", minute="5")},
    "partitions": {"task": "tenants.tasks.make_partitions", "schedule": crontab(hour="18", minute="5")},
}

TASK_ROUTES = {
    # a customer who waits for a welcome is put before all others (wecom/services/inbox.py)
    "wecom.tasks.handle_callback": {"queue": "fast", "priority": 9},
    "wecom.tasks.sweep_inbox": {"queue": "fast"},
    "wecom.tasks.deliver": {"queue": "default"},
    "org.tasks.run_job": {"queue": "bulk"},
    "campaigns.tasks.rebuild_brand_planes": {"queue": "bulk"},
    "campaigns.tasks.purge_alerts": {"queue": "bulk"},
    "tagging.tasks.recompute_values": {"queue": "bulk"},
    "contacts.tasks.check_ownerless": {"queue": "bulk"},
    "tagging.tasks.check_bits": {"queue": "bulk"},
    "tagging.tasks.take_snapshots": {"queue": "bulk"},
    "commerce.tasks.attach_waiting": {"queue": "bulk"},
    "tagging.tasks.tidy": {"queue": "bulk"},
}
